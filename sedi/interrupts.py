"""Signals that end a run: the first one in order, the second one at once.

The handler only counts and kills: an exception raised in it could come up anywhere, and the Kafka client keeps those
that come up in its event loop; a line printed in it could break into one being printed. What follows from a signal is
done at `check`, which the loops of a run reach several times a second. A third signal does raise, lest anything hang.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_SLICE_S = 0.2


class SignalCounter:
    """While this context is open, SIGINT and SIGTERM are counted. Main thread only.

    kill   ends all children without waiting; called at the second signal
    say    takes the lines for people
    """

    def __init__(self, kill: Callable[[], None], say: Callable[[str], None]) -> None:
        self._kill = kill
        self._say = say
        self._said = 0
        self._before: dict[signal.Signals, object] = {}
        self.count = 0

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def ignore(self) -> None:
        """Heed no further signal: what remains to be done is short and must be done."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """Say what a signal has begun; KeyboardInterrupt after the second."""
        if self.count and not self._said:
            self._say("Ending in order; once more to end at once")
        if self.count > 1 and self._said < 2:
            self._say("Ended at once. Nothing is lost: the same command goes on from the log")
        self._said = self.count
        if self.count > 1:
            raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Sleep, but not on after a signal."""
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
