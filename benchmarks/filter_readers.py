"""What reads a decided log again: `sedi replay`, a what-if and `sedi explain`, each as a user starts it."""

import os
import subprocess
import time
from dataclasses import dataclass

from infra.distribution import python_module
from infra.log.source import KafkaSource
from infra.settings import Settings, environment_of
from schemas.events import InstructionKept

_SHOWN = 600  # characters of an error: it comes first, and what a client leaves behind after it


@dataclass(frozen=True)
class Read:
    """One command. `cpu_s`: processor time of all its processes, starting included."""

    command: str
    instructions: int
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.instructions / self.seconds

    @property
    def per_core_second(self) -> float:
        return self.instructions / self.cpu_s


def read_again(settings: Settings, run: str, instructions: int) -> list[Read]:
    """Each command once. Raises SystemExit when one fails: a log that was just decided has no divergence."""
    commands = {
        "replay, 1 process": ["replay", "--run", run, "--jobs", "1", "--json"],
        f"replay, {os.cpu_count()} processes": ["replay", "--run", run, "--json"],
        "what-if, threshold 0.7": ["replay", "--run", run, "--set", "threshold=0.7", "--json"],
        "explain": ["explain", _last_kept(settings, run), "--run", run, "--json"],
    }
    return [_timed(settings, name, command, instructions) for name, command in commands.items()]


def _timed(settings: Settings, name: str, command: list[str], instructions: int) -> Read:
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        python_module("sedi", *command),
        env={**os.environ, **environment_of(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds, after = time.monotonic() - began, os.times()
    if done.returncode:
        raise SystemExit(f"`sedi {' '.join(command)}` ended with {done.returncode}: {done.stderr[:_SHOWN]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Read(name, instructions, seconds, cpu_s)


def _last_kept(settings: Settings, run: str) -> str:
    last: InstructionKept | None = None
    with KafkaSource(settings, run).open(["kept"]) as reading:
        for record in reading.rest():
            row = record.event
            if isinstance(row, InstructionKept) and (last is None or row.generated_offset > last.generated_offset):
                last = row
    assert last is not None, "nothing was kept"
    return last.id
