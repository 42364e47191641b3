"""Several ranks on this machine: starts them, hands on what the first one tells, and ends them all when one dies.

Each rank is a process of its own (`rank`), in a session of its own, with what every launcher says to it in its
environment (`ranks`); torchrun or another launcher does the same on several machines. SIGTERM and Ctrl-C are passed on:
the ranks agree on the step that is the last and save a checkpoint. When a rank dies the others cannot go on: they are
ended, and TrainerError says which one died, how, and what it said last. What a rank prints is in `rank-<n>.log` in the
output folder. Does not know: torch, or what a step is.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from consumers.trainer.distributed.rank_process import (
    RankEnded,
    RankFailed,
    RankLine,
    RankMessage,
    RankMetrics,
    RankStep,
    encoded,
    message_of,
)
from consumers.trainer.options import TrainOptions, TrainSummary
from consumers.trainer.record.metrics import StepLine
from infra.distribution import python_module
from infra.local_broker.temporary_broker import free_port
from infra.machine.supervisor import PARENT
from infra.settings import Settings, environment_of
from schemas.errors import ConfigurationError, RankRefused, TrainerError
from schemas.events import StepLogged

_RANK = python_module("consumers.trainer.distributed.rank_process")
_LOOK_S = 0.2
_GRACE_S = 5.0  # for the others to notice by themselves that one is gone
_TAIL = 15


@dataclass
class _Rank:
    """One process, and what it has told of its end."""

    number: int
    process: subprocess.Popen[bytes]
    channel: BinaryIO
    log: Path
    rest: bytes = b""
    summary: TrainSummary | None = None
    failed: RankFailed | None = None
    killed: bool = False
    heard: list[RankMessage] = field(default_factory=list)

    def hear(self) -> bool:
        """Take what it has told; False when it will tell nothing more."""
        read = os.read(self.channel.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + read).split(b"\n")
        self.heard += map(message_of, lines)
        return bool(read)


def launch(
    options: TrainOptions,
    settings: Settings,
    processes: int,
    *,
    on_step: Callable[[StepLogged], None] | None = None,
    on_line: Callable[[StepLine], None] | None = None,
    say: Callable[[str], None],
) -> TrainSummary:
    """`run.train` in so many processes; returns what the first one does. Run it in the main thread.

    Raises TrainerError when one fails or dies, RankRefused when it would again, KeyboardInterrupt when they were
    stopped before they had begun, and ConfigurationError inside another launcher's rank.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigurationError("WORLD_SIZE is set: this is a rank of another launcher. Leave out --processes there.")
    logs = options.output or settings.state_dir / options.run
    logs.mkdir(parents=True, exist_ok=True)
    listener = _Listener(on_step, on_line, say)
    with ExitStack() as stack:
        wanted = stack.enter_context(_signals())
        ranks = _started(options, settings, processes, logs, stack)
        selector = stack.enter_context(selectors.DefaultSelector())
        for rank in ranks:
            selector.register(rank.channel, selectors.EVENT_READ, rank)
        passed_on = 0
        while any(rank.process.poll() is None for rank in ranks) and not any(rank.process.poll() for rank in ranks):
            _listen(selector, listener)
            while passed_on < wanted():
                passed_on += 1
                _send(ranks, signal.SIGTERM)
        _end(ranks)
        for rank in ranks:
            while rank.hear():
                pass
            listener.hand_on(rank)
    if all(rank.process.returncode == 0 for rank in ranks) and ranks[0].summary is not None:
        return ranks[0].summary
    if passed_on and all(rank.process.returncode == -signal.SIGTERM or rank.killed for rank in ranks):
        raise KeyboardInterrupt
    guilty = min(ranks, key=_guilt)
    kind = RankRefused if guilty.failed is not None and guilty.failed.permanent else TrainerError
    raise kind(_what_happened(guilty, len(ranks)))


def _started(options: TrainOptions, settings: Settings, size: int, logs: Path, stack: ExitStack) -> Sequence[_Rank]:
    common = {
        **os.environ,
        **environment_of(settings),
        PARENT: str(os.getpid()),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    common.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
    ranks: list[_Rank] = []
    for number in range(size):
        log = logs / f"rank-{number}.log"
        ours, theirs = os.pipe()
        channel = stack.enter_context(os.fdopen(ours, "rb", buffering=0))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_RANK, encoded(options).decode(), str(theirs)],
                env={**common, "RANK": str(number), "LOCAL_RANK": str(number)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                start_new_session=True,
            )
        os.close(theirs)
        ranks.append(_Rank(number, process, channel, log))
        stack.callback(_kill, ranks[-1])
    return ranks


@contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """How often SIGTERM or SIGINT has come, while this holds."""
    came = 0

    def count(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came += 1

    before = {number: signal.signal(number, count) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Listener:
    """Who is told what the ranks tell."""

    on_step: Callable[[StepLogged], None] | None
    on_line: Callable[[StepLine], None] | None
    say: Callable[[str], None]

    def hand_on(self, rank: _Rank) -> None:
        """Hand on what a rank has told, and keep what is about its end."""
        while rank.heard:
            match rank.heard.pop(0):
                case RankLine(line=line):
                    self.say(line)
                case RankStep(step=step) if self.on_step is not None:
                    self.on_step(step)
                case RankMetrics(line=line) if self.on_line is not None:
                    self.on_line(line)
                case RankEnded(summary=summary):
                    rank.summary = summary
                case RankFailed() as failed:
                    rank.failed = failed
                case _:
                    pass


def _listen(selector: selectors.BaseSelector, listener: _Listener) -> None:
    """Hand on what comes within a moment."""
    if not selector.get_map():
        time.sleep(_LOOK_S)
        return
    for key, _ in selector.select(_LOOK_S):
        if not key.data.hear():
            selector.unregister(key.fileobj)
        listener.hand_on(key.data)


def _send(ranks: Sequence[_Rank], number: signal.Signals) -> None:
    for rank in ranks:
        rank.process.send_signal(number)  # does nothing where it has ended


def _end(ranks: Sequence[_Rank]) -> None:
    """Wait a little for the ends of all, then end them."""
    deadline = time.monotonic() + _GRACE_S
    while any(rank.process.poll() is None for rank in ranks) and time.monotonic() < deadline:
        time.sleep(_LOOK_S / 4)
    for rank in ranks:
        _kill(rank)


def _kill(rank: _Rank) -> None:
    if rank.process.poll() is None:
        rank.killed = True
        rank.process.kill()
        rank.process.wait()


def _what_happened(rank: _Rank, size: int) -> str:
    """How the rank ended whose end ended the others."""
    who = f"Rank {rank.number} of {size}"
    if rank.failed is not None:
        return f"{who}: {rank.failed.message}"
    code = rank.process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    memory = " (the system does that when memory is short)" if code == -signal.SIGKILL else ""
    said = "\n".join(rank.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:])
    return (
        f"{who} {how}{memory}; the others were ended. The last checkpoint is whole: start again, and training goes on "
        f"from there. The end of {rank.log}:\n{said or '(it said nothing)'}"
    )


def _guilt(rank: _Rank) -> int:
    """Whose end ended the others, least first: one that was killed before one that failed, and that before one that
    lost the others."""
    if rank.failed is not None:
        return 3 if rank.failed.lost else 1
    if rank.killed or not rank.process.returncode:
        return 4
    return 0 if rank.process.returncode < 0 else 2
