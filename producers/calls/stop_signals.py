"""How signals end a generator or judge: the first lets the calls in flight end, the second cancels them."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from producers.backends.base import Backend

BY_SIGNAL = "stopped by a signal"
"""Why calls were halted, where a signal did it."""


class StopSignals:
    """While this context is open in the main thread, the first SIGTERM or SIGINT calls `halt` with a reason, and each
    further one cancels the task that opened it. In other threads it does nothing. `received` counts the signals."""

    def __init__(self, halt: Callable[[str], None]) -> None:
        self._halt = halt
        self._task: asyncio.Task[object] | None = None
        self._handled: list[signal.Signals] = []
        self.received = 0

    def __enter__(self) -> "StopSignals":
        self._task = asyncio.current_task()
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._receive)
                self._handled.append(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._handled:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _receive(self) -> None:
        self.received += 1
        if self.received == 1:
            self._halt(BY_SIGNAL)
        elif self._task is not None:
            self._task.cancel()


async def run_until_stopped(work: Callable[[], Awaitable[None]], halt: Callable[[str], None], backend: Backend) -> bool:
    """Run the work under `StopSignals`, then close the backend. Returns whether a second signal cancelled it."""
    with StopSignals(halt) as signals:
        try:
            await work()
        except asyncio.CancelledError:
            if not signals.received:
                raise
            return True
        finally:
            with suppress(asyncio.CancelledError):
                await backend.close()
    return False
