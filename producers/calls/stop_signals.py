"""How signals end a generator or judge: the first lets the calls in flight end, the second cancels them.

Calls that go on without this process (`OutlivingBackend`) are not waited for: the first signal ends it at once.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from infra.observed import observation
from producers.backends.base import Backend, OutlivingBackend

BY_SIGNAL = "stopped by a signal"
"""Why calls were halted, where a signal did it."""


class StopSignals:
    """While this context is open in the main thread, the first SIGTERM or SIGINT calls `halt` with a reason, and each
    further one cancels the task that opened it, the first too if `at_once`. In other threads it does nothing.
    `received` counts the signals."""

    def __init__(self, halt: Callable[[str], None], *, at_once: bool = False) -> None:
        self._halt = halt
        self._at_once = at_once
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
        if (self.received > 1 or self._at_once) and self._task is not None:
            self._task.cancel()


async def run_until_stopped(work: Callable[[], Awaitable[None]], halt: Callable[[str], None], backend: Backend) -> bool:
    """Run the work under `StopSignals`, then close the backend. Returns whether a signal cancelled it."""
    with StopSignals(halt, at_once=isinstance(backend, OutlivingBackend)) as signals:
        turning = asyncio.create_task(observation().turn())
        observation().ready("it is at work")
        try:
            await work()
        except asyncio.CancelledError:
            if not signals.received:
                raise
            return True
        finally:
            turning.cancel()
            with suppress(asyncio.CancelledError):
                await backend.close()
    return False
