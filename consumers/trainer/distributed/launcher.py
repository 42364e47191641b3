"""Trains with several ranks on this machine: starts them, passes on the first one's messages, ends all when one dies.

Each rank is a process (`rank_process`) in a session of its own. It reads its rank and the group's size from the
environment variables that every launcher sets (`process_group`), so torchrun or another launcher can do the same on
several machines. SIGTERM and Ctrl-C are forwarded: the ranks agree on a last step and save a checkpoint.

When a rank dies the others cannot go on. They are ended, and TrainerError names the rank that died, how, and the end of
its output, which is in `rank-<n>.log` in the output folder. Imports no torch.
"""

import os
import random
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from consumers.trainer.distributed import rank_process
from consumers.trainer.options import TrainOptions, TrainSummary, default_output
from consumers.trainer.record.metrics import StepLine
from infra.distribution import python_module
from infra.machine.supervisor import PARENT
from infra.settings import Settings, environment_of
from schemas.errors import ConfigurationError, RankRefused, TrainerError
from schemas.events import StepLogged

_RANK_COMMAND = tuple(python_module(rank_process.__name__))
_POLL_S = 0.2
_LOG_TAIL = 15  # lines of a dead rank's log that are shown
_PORTS = range(20_000, 32_000)  # below those that the system gives to outgoing connections


@dataclass
class _Rank:
    """A rank's process, and what is known of its end."""

    number: int
    process: subprocess.Popen[bytes]
    channel: BinaryIO
    log: Path
    unread: bytes = b""
    summary: TrainSummary | None = None
    failure: rank_process.RankFailed | None = None
    killed: bool = False

    def read(self) -> list[rank_process.RankMessage] | None:
        """The messages that have arrived; None at the end of the channel."""
        data = os.read(self.channel.fileno(), 1 << 16)
        *lines, self.unread = (self.unread + data).split(b"\n")
        return [rank_process.decode_message(line) for line in lines] if data else None

    def kill(self) -> None:
        if self.process.poll() is None:
            self.killed = True
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Starts ranks and watches them. Use it in the main thread.

    on_step, on_line, say   as those of `run.train`, called in this process
    command                 starts one rank; its options and the number of its channel are added
    grace_s                 seconds for the other ranks to notice by themselves that one has died
    """

    on_step: Callable[[StepLogged], None] | None = None
    on_line: Callable[[StepLine], None] | None = None
    say: Callable[[str], None]
    command: Sequence[str] = _RANK_COMMAND
    grace_s: float = 5.0

    def launch(self, options: TrainOptions, settings: Settings, processes: int) -> TrainSummary:
        """`run.train` in several processes; returns the first one's summary.

        Raises TrainerError when a rank fails or dies, RankRefused when its error is permanent, KeyboardInterrupt when
        training was stopped before it began, and ConfigurationError inside a rank of another launcher.
        """
        if "WORLD_SIZE" in os.environ:
            raise ConfigurationError(
                "WORLD_SIZE is set: this is a rank of another launcher. Leave out --processes there."
            )
        with ExitStack() as stack:
            signals_received = stack.enter_context(_count_signals())
            ranks = self._start(options, settings, processes, stack)
            selector = stack.enter_context(selectors.DefaultSelector())
            for rank in ranks:
                selector.register(rank.channel, selectors.EVENT_READ, rank)
            forwarded = 0
            while any(rank.process.poll() is None for rank in ranks) and not any(rank.process.poll() for rank in ranks):
                self._receive(selector)
                while forwarded < signals_received():
                    forwarded += 1
                    for rank in ranks:
                        rank.process.send_signal(signal.SIGTERM)  # does nothing where it has ended
            self._end(ranks)
            for rank in ranks:
                while (messages := rank.read()) is not None:
                    self._dispatch(rank, messages)
        if all(rank.process.returncode == 0 for rank in ranks) and ranks[0].summary is not None:
            return ranks[0].summary
        if forwarded and all(rank.process.returncode == -signal.SIGTERM or rank.killed for rank in ranks):
            raise KeyboardInterrupt
        failed = min(ranks, key=_failure_order)
        kind = RankRefused if failed.failure is not None and failed.failure.permanent else TrainerError
        raise kind(_describe_failure(failed, len(ranks)))

    def _start(self, options: TrainOptions, settings: Settings, size: int, stack: ExitStack) -> Sequence[_Rank]:
        logs = options.output or default_output(options.task, settings.state_dir, options.run)
        logs.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **environment_of(settings),
            PARENT: str(os.getpid()),
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
        }
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
        ranks: list[_Rank] = []
        for number in range(size):
            log = logs / f"rank-{number}.log"
            read_end, write_end = os.pipe()
            channel = stack.enter_context(os.fdopen(read_end, "rb", buffering=0))
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*self.command, rank_process.encode_message(options).decode(), str(write_end)],
                    env={**environment, "RANK": str(number), "LOCAL_RANK": str(number)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[write_end],
                    start_new_session=True,
                )
            os.close(write_end)
            ranks.append(_Rank(number, process, channel, log))
            stack.callback(ranks[-1].kill)
        return ranks

    def _receive(self, selector: selectors.BaseSelector) -> None:
        """Dispatch the messages that arrive within a moment."""
        if not selector.get_map():
            time.sleep(_POLL_S)
            return
        for key, _ in selector.select(_POLL_S):
            messages = key.data.read()
            if messages is None:
                selector.unregister(key.fileobj)
            else:
                self._dispatch(key.data, messages)

    def _dispatch(self, rank: _Rank, messages: Sequence[rank_process.RankMessage]) -> None:
        for message in messages:
            match message:
                case rank_process.RankLine(line=line):
                    self.say(line)
                case rank_process.RankStep(step=step) if self.on_step is not None:
                    self.on_step(step)
                case rank_process.RankMetrics(line=line) if self.on_line is not None:
                    self.on_line(line)
                case rank_process.RankEnded(summary=summary):
                    rank.summary = summary
                case rank_process.RankFailed() as failure:
                    rank.failure = failure
                case _:
                    pass

    def _end(self, ranks: Sequence[_Rank]) -> None:
        """Give all ranks a moment to end by themselves, then kill the rest."""
        deadline = time.monotonic() + self.grace_s
        while any(rank.process.poll() is None for rank in ranks) and time.monotonic() < deadline:
            time.sleep(_POLL_S / 4)
        for rank in ranks:
            rank.kill()


@contextmanager
def _count_signals() -> Iterator[Callable[[], int]]:
    """Gives how often SIGTERM or SIGINT has been received within the block."""
    received = 0

    def count(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1

    before = {number: signal.signal(number, count) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise TrainerError(f"No free port from {_PORTS.start} to {_PORTS.stop - 1} in 100 tries. End what holds them.")


def _describe_failure(rank: _Rank, size: int) -> str:
    """How the rank failed that made the others end."""
    name = f"Rank {rank.number} of {size}"
    if rank.failure is not None:
        return f"{name}: {rank.failure.message}"
    code = rank.process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    memory = " (the system does that when memory is short)" if code == -signal.SIGKILL else ""
    tail = "\n".join(rank.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:])
    return (
        f"{name} {how}{memory}; the others were ended. The last checkpoint is whole: start again, and training resumes "
        f"from there. The end of {rank.log}:\n{tail or '(it is empty)'}"
    )


def _failure_order(rank: _Rank) -> int:
    """Least for the rank that failed first: killed, then failed with an error, then failed because of another rank."""
    if rank.failure is not None:
        return 3 if rank.failure.lost else 1
    if rank.killed or not rank.process.returncode:
        return 4
    return 0 if rank.process.returncode < 0 else 2
