"""Signals that end a run: the first one in order, the second one at once.

The handler only counts and kills: an exception raised in it could surface anywhere, and the Kafka client swallows those
in its event loop; a line printed in it could break into another one. `check`, which the loops of a run call several
times a second, does the rest. A third signal does raise, in case anything hangs.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

_SLICE_S = 0.2


class SignalCounter:
    """Counts SIGINT and SIGTERM while this context is open. Main thread only.

    kill   ends all children without waiting; called at the second signal
    say    prints a line for people
    """

    def __init__(self, kill: Callable[[], None], say: Callable[[str], None]) -> None:
        self._kill = kill
        self._say = say
        self._reported = 0
        self._handlers: dict[signal.Signals, object] = {}
        self.count = 0

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def ignore(self) -> None:
        """Ignore further signals: the rest is short and must be done."""
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """Print what a signal does; KeyboardInterrupt after the second."""
        if self.count and not self._reported:
            self._say("Ending in order; once more to end at once")
        if self.count > 1 and self._reported < 2:
            self._say("Ended at once. Nothing is lost: the same command goes on from the log")
        self._reported = self.count
        if self.count > 1:
            raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Sleep until the time is over or a signal comes, then `check`."""
        until, count = time.monotonic() + seconds, self.count
        while self.count == count and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
        self.check()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 2:
            self._kill()
        if self.count > 2:
            raise KeyboardInterrupt
