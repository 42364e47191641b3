"""Which part of a run stands still: it has something to do, and has not moved for a while.

Each part is watched for its own sign of life: the generator for calls, the filter for verdicts, the trainer for lines
of its own, feedback for the answer to a window. Only who has input can stand still: a trainer without rows waits for
the generator, and a generator with a trainer behind it may be held back.
"""

import re
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.status import Status

STILL_S = 120.0
_LONGEST = 3.0  # times the longest it has ever taken to move: a slow part is no stalled one

_STEP = re.compile(r"step (\d+) \(epoch")
_WAITS_FOR_ROWS = "Waiting for rows"


def steps_told(news: str) -> int | None:
    """The step that a line of the trainer is about; None for another line."""
    found = _STEP.match(news)
    return None if found is None else int(found[1])


@dataclass
class _Sign:
    """The last sign of life of a part: what was seen, since when, and the longest time between two of them."""

    state: Hashable
    since: float
    longest: float = 0.0


@dataclass
class LastMoved:
    """When each part of a run last moved, from one look at its status after the other.

    batch_size   rows of a step
    """

    batch_size: int
    trains: bool
    feeds_back: bool
    clock: Callable[[], float] = time.monotonic
    _signs: dict[str, _Sign] = field(default_factory=dict)
    _news: str = ""
    _told: int = 0

    def see(self, status: "Status", news: str) -> None:
        """Take in the status now, and the trainer's last line."""
        window = status.last_window
        self._news, self._told = news, steps_told(news) or self._told
        now: dict[str, Hashable] = {
            "filter": (status.kept, status.rejected_total),
            "feedback": None if window is None else (window.window, window.outcome),
            "trainer": (status.steps, news),
            "generator": (status.calls.started, status.calls.answered, status.calls.failed, status.generations),
        }
        at = self.clock()
        for part, state in now.items():
            sign = self._signs.setdefault(part, _Sign(state, at))
            if sign.state != state:
                sign.state, sign.longest, sign.since = state, max(sign.longest, at - sign.since), at

    def stalled(self, status: "Status") -> tuple[str, float] | None:
        """The part that has work and has not moved for long, and for how many seconds; None while all goes on.

        When nothing moves at all and none seems to have work, it is whoever waits for the others: the trainer.
        """
        still = {part: self.clock() - sign.since for part, sign in self._signs.items()}
        long = {part: still[part] >= max(STILL_S, _LONGEST * sign.longest) for part, sign in self._signs.items()}
        for part, works in self._at_work(status).items():
            if works and long.get(part):
                return part, still[part]
        watched = ["generator", "filter", *(["trainer"] if self.trains else [])]
        if all(long.get(part) for part in watched):
            return watched[-1] if self.trains else watched[0], min(still[part] for part in watched)
        return None

    def _at_work(self, status: "Status") -> dict[str, bool]:
        window = status.last_window
        # A window is logged when it is complete; what was trained since then only the trainer's own lines tell.
        unlogged = max(0, self._told - status.steps) * self.batch_size
        has_batch = self.trains and status.lag.untrained - unlogged >= self.batch_size
        return {
            "filter": status.lag.generations > 0,
            "feedback": self.feeds_back and window is not None and window.outcome is None,
            "trainer": has_batch and not self._news.startswith(_WAITS_FOR_ROWS),
            "generator": not has_batch,
        }
