"""Which part of a run stands still: it has something to do, and has not moved for a while."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.status import Status

STILL_S = 120.0


@dataclass
class Movement:
    """When each part of a run last moved, from one look at its status after the other."""

    batch_size: int
    trains: bool
    feeds_back: bool
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[Hashable, float]] = field(default_factory=dict)

    def see(self, status: "Status", training: str) -> None:
        """Take in the status now, and the trainer's last line."""
        window = status.last_window
        now: dict[str, Hashable] = {
            "filter": (status.kept, status.rejected_total),
            "feedback": None if window is None else (window.window, window.outcome),
            "trainer": (status.steps, training),
            "generator": (status.calls.started, status.calls.answered, status.calls.failed, status.generations),
        }
        for part, state in now.items():
            if part not in self._seen or self._seen[part][0] != state:
                self._seen[part] = state, self.clock()

    def stalled(self, status: "Status") -> tuple[str, float] | None:
        """The first part, in the order of the flow, that has work and has not moved for STILL_S, and for how long."""
        window, has_batch = status.last_window, status.lag.untrained >= self.batch_size
        at_work = {
            "filter": status.lag.generations > 0,
            "feedback": self.feeds_back and window is not None and window.outcome is None,
            "trainer": self.trains and has_batch,
            "generator": not (self.trains and has_batch),  # with enough ahead of the trainer it may be waiting
        }
        for part, (_, since) in self._seen.items():
            still = self.clock() - since
            if at_work[part] and still >= STILL_S:
                return part, still
        return None
