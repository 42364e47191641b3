"""Stopping at the right moment, and never two trainers on one folder."""

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
    """A function that tells whether SIGTERM or SIGINT has come. A second one does what it always does.

    Outside the main thread no signal is seen, and the function always says no.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        restore()


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; TrainerError when another trainer of this machine has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "trainer.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainerError(
                f"Another trainer is at work in {folder}. Wait until it has ended, or give another output folder."
            ) from error
        yield
