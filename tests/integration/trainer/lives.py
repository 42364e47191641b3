"""Trainers that die, each in a process of its own."""

import resource
import time
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from consumers.trainer.options import TrainOptions
from infra.settings import Settings, load
from schemas.events import StepLogged
from tests.harness.forked import fork


def live(
    options: TrainOptions,
    settings: Settings,
    output: Path,
    *,
    halt_at: int = 0,
    full_at: int = 0,
    kill_at: Callable[[StepLogged], float | None] = lambda step: None,
) -> tuple[list[StepLogged], str | None]:
    """The steps of a trainer, and the error that it ended with.

    halt_at   the step that it stops at, its window written and nothing saved, to be killed there
    full_at   the step after which its disk is full
    kill_at   is asked after each step: after so many seconds it gets SIGKILL, None lets it go on
    """
    receiver, sender = Pipe(duplex=False)
    trainer = fork(_train, options, halt_at, full_at, sender, settings=settings, output=output)
    sender.close()
    steps: list[StepLogged] = []
    error: str | None = None
    with receiver:
        while (received := _received(receiver)) is not None:
            if isinstance(received, str):
                error = received
                continue
            steps.append(received)
            if (pause := kill_at(received)) is not None:
                time.sleep(pause)
                trainer.kill()
    trainer.wait(60)
    return steps, error


def _received(receiver: Connection) -> StepLogged | str | None:
    """The next step, or the error; None when the trainer has gone."""
    try:
        received: StepLogged | str = receiver.recv()
    except (EOFError, OSError):
        return None
    return received


def _train(options: TrainOptions, halt_at: int, full_at: int, sender: Connection) -> int:
    from consumers.trainer.run import train

    def on_step(step: StepLogged) -> None:
        sender.send(step)
        if step.step == halt_at:
            time.sleep(120)
        if step.step == full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    try:
        train(options, load(), on_step=on_step)
    except Exception as error:  # noqa: BLE001 - the test asks which it was
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")
        return 1
    return 0
