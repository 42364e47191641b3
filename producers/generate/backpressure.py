"""Holding a generator back: how long, for whom, and a sentence now and then, so that it never hangs silently."""

import time
from collections.abc import Callable

from producers.calls.limits import Behind, Limits
from producers.generate.progress import LaneProgress

FIRST_S = 10.0  # of waiting without a break, after which it is said
EVERY_S = 60.0  # between two sentences of one wait


class Backpressure:
    """Counts the seconds by what they were waited for, and says why it waits.

    waited_s   seconds so far, by whom was waited for
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.waited_s: dict[str, float] = {}
        self._say = say
        self._clock = clock
        self._behind: Behind | None = None
        self._at = 0.0  # of the last look
        self._due = 0.0  # when it is said next
        self._windows = -1
        self._news_at = 0.0  # when a training window was last seen to come

    def look(self, behind: Behind | None, limits: Limits, progress: LaneProgress, ahead: int | None) -> None:
        """Take note of whom the generator waits for from now on; None: it goes on."""
        now = self._clock()
        if self._behind is not None:
            self.waited_s[self._behind] = self.waited_s.get(self._behind, 0.0) + now - self._at
        if progress.windows != self._windows:
            self._windows, self._news_at = progress.windows, now
        if behind != self._behind:
            self._due = now + FIRST_S
        elif behind is not None and now >= self._due:
            sentence = limits.waiting(behind, progress, ahead, now - self._news_at)
            if sentence is not None:
                self._say(sentence)
            self._due = now + EVERY_S
        self._behind, self._at = behind, now
