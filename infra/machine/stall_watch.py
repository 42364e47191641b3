"""Dumps the stacks of a process whose main loop stands still, once for each stall, on standard error.

A thread looks at the loop's heartbeat. When the loop has not turned for the limit, it prints when, and the stack of
every thread (`faulthandler`, which needs no lock that the stuck thread may hold). The process goes on: what it waits
for may still come. When the loop turns again, that is printed too.

A process that was stopped as a whole (Ctrl-Z, a machine that slept, a virtual machine that was moved) has not stalled:
this thread stood still with it, and no CPU time went by. The limit then counts anew.
"""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from infra.metrics.health import Heartbeat

_USED = 0.1
"""Share of a CPU: a process that used less between two looks was stopped; one that used more held this thread up."""


class StallWatch:
    """Watches one heartbeat. `look` is to be called now and then; `stalls` counts."""

    def __init__(
        self, heartbeat: Heartbeat, name: str, stream: TextIO, cpu_s: Callable[[], float] = time.process_time
    ) -> None:
        self.stalls = 0
        self._cpu_s = cpu_s
        self._looked: tuple[float, float] | None = None  # by the clock, and the CPU time then
        self._heartbeat = heartbeat
        self._name = name
        self._stream = stream
        self._stalled = False

    def look(self) -> None:
        """Dump the stacks if a stall has begun since the last look."""
        if self._was_stopped() and self._heartbeat.begun:
            self._heartbeat.beat()
        stuck = self._heartbeat.stuck
        if stuck and not self._stalled:
            self.stalls += 1
            self._print(
                f"STALLED: the main loop of {self._name} has not turned for {self._heartbeat.age_s:.0f} s. Where each "
                "thread stands, the innermost call first:"
            )
            faulthandler.dump_traceback(self._stream, all_threads=True)
            self._print("End of the stacks. It goes on when what it waits for comes; else end it with SIGKILL.")
        elif self._stalled and not stuck:
            self._print(f"The main loop of {self._name} turns again.")
        self._stalled = stuck

    def _was_stopped(self) -> bool:
        """Whether the whole process has stood still since the last look."""
        now, before = (self._heartbeat.clock(), self._cpu_s()), self._looked
        self._looked = now
        if before is None:
            return False
        gone_s, used_s = now[0] - before[0], now[1] - before[1]
        return gone_s > self._heartbeat.limit_s / 2 and used_s < gone_s * _USED

    def _print(self, line: str) -> None:
        self._stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")
        self._stream.flush()


@contextmanager
def stalls_dumped(heartbeat: Heartbeat, name: str) -> Iterator[Callable[[], int]]:
    """Watch the heartbeat within the block; gives a function for the number of stalls so far.

    Does nothing where standard error is no file: `faulthandler` writes to a file's number.
    """
    stream = sys.stderr
    try:
        stream.fileno()
    except (OSError, ValueError, AttributeError):
        yield lambda: 0
        return
    watch, ended = StallWatch(heartbeat, name, stream), threading.Event()
    every_s = min(1.0, heartbeat.limit_s / 4)

    def look() -> None:
        while not ended.wait(every_s):
            try:
                watch.look()
            except (OSError, ValueError):  # the log is closed
                return

    thread = threading.Thread(target=look, name="stall-watch", daemon=True)
    thread.start()
    try:
        yield lambda: watch.stalls
    finally:
        ended.set()
        thread.join(1.0)
