"""Stopping on SIGTERM and SIGINT, and a lock against two trainers in one folder."""

import fcntl
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.errors import TrainerError


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that returns whether SIGTERM or SIGINT has been received. A second signal has its usual effect.

    Outside the main thread no signal is received, and the function always returns False.
    """
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        received.set()
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield received.is_set
    finally:
        restore()


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises TrainerError when another trainer on this machine has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "trainer.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainerError(
                f"Another trainer is running in {folder}. Wait until it has ended, or give another output folder."
            ) from error
        yield
