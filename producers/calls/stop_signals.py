"""How a signal ends a lane at work: the first one lets what is under way end, the second one ends it at once."""

import asyncio
import signal
import threading
from collections.abc import Callable


class StopSignals:
    """While this context is open in the main thread, the first SIGTERM or SIGINT calls `halt` with the reason, and each
    further one cancels the task that opened it; in other threads nothing happens. `received` counts them."""

    def __init__(self, halt: Callable[[str], None]) -> None:
        self._halt = halt
        self._task: asyncio.Task[object] | None = None
        self._on: list[signal.Signals] = []
        self.received = 0

    def __enter__(self) -> "StopSignals":
        self._task = asyncio.current_task()
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._receive)
                self._on.append(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._on:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _receive(self) -> None:
        self.received += 1
        if self.received == 1:
            self._halt("stopped by a signal")
        elif self._task is not None:
            self._task.cancel()
