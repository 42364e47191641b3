"""Trainers that die: each in a process of its own, forked from one that has torch and DeepSpeed loaded already.

Loading them takes seconds, and a test of crashes needs many processes. The parent never trains, so that a fork begins
as a fresh process would after its imports.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from consumers.trainer.options import TrainOptions
from infra.settings import Settings, environment_of
from schemas.events import StepLogged

_PARENT = """
import ctypes, os, resource, signal, sys, time, traceback
from pathlib import Path
import msgspec
from consumers.trainer import cpu
cpu.passive_threads()
from consumers.trainer.quiet import talk_to
from consumers.trainer.run import TrainOptions, train
with talk_to(Path(sys.argv[1])):
    from transformers import AutoModelForCausalLM, LlamaForCausalLM
    from torch.utils.tensorboard import SummaryWriter
    from consumers.trainer.zero import imported
    imported("cpu")
from infra.settings import load
from tests.integration.trainer.lives import Born, Died, Done, Life, written

def tell(message):
    os.write(1, written(message))

def live(life):
    def on_step(step):
        tell(Done(step))
        if step.step == life.halt_at:
            time.sleep(120)
        if step.step == life.full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # when the parent dies
    tell(Born(os.getpid()))
    try:
        train(life.options(), load(), on_step=on_step)
    except Exception as error:
        traceback.print_exc()
        tell(Died(f"{type(error).__name__}: {error}"))
        os._exit(1)
    os._exit(0)

for line in sys.stdin:
    child = os.fork()
    if not child:
        live(msgspec.json.decode(line, type=Life))
    os.waitpid(child, 0)
    tell(Died(None))
"""


class Life(msgspec.Struct, frozen=True):
    """What a trainer is told.

    halt_at   the step that it stops at, its window written and nothing saved, to be killed there
    full_at   the step after which its disk is full
    """

    given: dict[str, object]
    halt_at: int = 0
    full_at: int = 0

    def options(self) -> TrainOptions:
        paths = {name: Path(str(self.given[name])) for name in ("output",)}
        return TrainOptions(**{**self.given, **paths})  # type: ignore[arg-type]


class Born(msgspec.Struct, frozen=True, tag=True):
    pid: int


class Done(msgspec.Struct, frozen=True, tag=True):
    step: StepLogged


class Died(msgspec.Struct, frozen=True, tag=True):
    error: str | None


def written(message: Born | Done | Died) -> bytes:
    return msgspec.json.encode(message) + b"\n"


@dataclass
class Lives:
    """Starts one trainer after another; the parent when the first is wanted."""

    settings: Settings
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def live(
        self,
        options: TrainOptions,
        *,
        halt_at: int = 0,
        full_at: int = 0,
        kill_at: Callable[[StepLogged], float | None] = lambda step: None,
    ) -> tuple[list[StepLogged], str | None]:
        """The steps of a trainer, and the error that it ended with.

        `kill_at` is asked after each step: after so many seconds it gets SIGKILL, None lets it go on.
        """
        self.process = process = self.process or self._start()
        assert process.stdin is not None and process.stdout is not None
        given = {name: value for name, value in asdict(options).items() if value is not None}
        process.stdin.write(msgspec.json.encode(Life(given, halt_at, full_at), enc_hook=str) + b"\n")
        process.stdin.flush()
        steps: list[StepLogged] = []
        pid, error = 0, None
        for line in process.stdout:
            match msgspec.json.decode(line, type=Born | Done | Died):
                case Born(pid=pid):
                    pass
                case Done(step=step):
                    steps.append(step)
                    if pid and (pause := kill_at(step)) is not None:
                        time.sleep(pause)
                        os.kill(pid, signal.SIGKILL)
                        pid = 0
                case Died(error=None):
                    return steps, error
                case Died(error=error):
                    pass
        raise AssertionError(f"the parent of the trainers has died: see {self.folder}")

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **environment_of(self.settings), "PYTHONPATH": str(Path.cwd())}
        with (self.folder / "lives.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _PARENT, str(self.folder / "imports.log")],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def end(self) -> None:
        if self.process is not None:
            with self.process as process:
                process.kill()
