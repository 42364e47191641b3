"""Which part of a run is stalled: it has work, and has not progressed for a while.

Each part has its own sign of progress: calls of the generator, verdicts of the filter, rows of the answerer, status
lines of the trainer, feedback's answer to a window. Only a part with input can stall: a trainer without rows waits for
the generator, and a generator with a trainer behind it may be held back. Nothing stalls while batches are open at an
endpoint: it may answer them in a day.
"""

import re
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from consumers.status import Status

STILL_S = 120.0
_LONGEST = 3.0  # times the longest pause so far: a slow part is not stalled

_STEP = re.compile(r"step (\d+) \(epoch")
_WAITS_FOR_ROWS = "Waiting for rows"


def step_in(news: str) -> int | None:
    """The step in a status line of the trainer; None in another line."""
    found = _STEP.match(news)
    return None if found is None else int(found[1])


@dataclass
class _Sign:
    """The last sign of progress of a part: its state, since when, and the longest time between two signs."""

    state: Hashable
    since: float
    longest: float = 0.0


@dataclass
class LastMoved:
    """When each part of a run last progressed, by repeated looks at its status.

    batch_size   rows of a step
    """

    batch_size: int
    trains: bool
    feeds_back: bool
    clock: Callable[[], float] = time.monotonic
    _signs: dict[str, _Sign] = field(default_factory=dict)
    _news: str = ""
    _news_step: int = 0

    def see(self, status: "Status", news: str) -> None:
        """Add the status now, and the trainer's last line."""
        window = status.last_window
        self._news, self._news_step = news, step_in(news) or self._news_step
        now: dict[str, Hashable] = {
            "filter": (status.kept, status.rejected_total),
            "answerer": _answers(status)[0],
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
        """The part that has work and has not progressed for long, and the seconds; None while there is none.

        When no part progresses and none seems to have work, it is the one that waits for the others: the trainer.
        """
        if not isinstance(status.batches, msgspec.UnsetType) and status.batches.open:
            return None
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
        # a window is logged when it is complete; only the trainer's status lines show the steps since then
        unlogged = max(0, self._news_step - status.steps) * self.batch_size
        has_batch = self.trains and status.lag.untrained - unlogged >= self.batch_size
        return {
            "filter": status.lag.generations > 0,
            "answerer": _answers(status)[1] > 0,
            "feedback": self.feeds_back and window is not None and window.outcome is None,
            "trainer": has_batch and not self._news.startswith(_WAITS_FOR_ROWS),
            "generator": not has_batch,
        }


def _answers(status: "Status") -> tuple[int, int]:
    """Kept rows that are answered, and that wait for it, in a run that answers these alone."""
    found = status.answered
    if isinstance(found, msgspec.UnsetType):
        return 0, 0
    return found.used + found.unused_total, found.waiting
