"""Measures how long a generator waits for what, and reports it now and then, so that it never hangs silently."""

import time
from collections.abc import Callable

from producers.calls.limits import Behind, Limits
from producers.generate.progress import LaneProgress

FIRST_S = 10.0  # of continuous waiting until the first report
EVERY_S = 60.0  # between two reports of one wait


class Backpressure:
    """Counts the seconds spent waiting, and reports why.

    waited_s   seconds so far, by what was waited for
    """

    def __init__(self, notify: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.waited_s: dict[str, float] = {}
        self._notify = notify
        self._clock = clock
        self._behind: Behind | None = None
        self._updated_at = 0.0
        self._report_at = 0.0
        self._windows = -1
        self._window_at = 0.0  # when the last training window was seen

    def update(self, behind: Behind | None, limits: Limits, progress: LaneProgress, ahead: int | None) -> None:
        """Set what the generator waits for from now on; None: it does not wait."""
        now = self._clock()
        if self._behind is not None:
            self.waited_s[self._behind] = self.waited_s.get(self._behind, 0.0) + now - self._updated_at
        if progress.window_count != self._windows:
            self._windows, self._window_at = progress.window_count, now
        if behind != self._behind:
            self._report_at = now + FIRST_S
        elif behind is not None and now >= self._report_at:
            message = limits.waiting_message(behind, progress, ahead, now - self._window_at)
            if message is not None:
                self._notify(message)
            self._report_at = now + EVERY_S
        self._behind, self._updated_at = behind, now
