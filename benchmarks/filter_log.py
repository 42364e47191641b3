"""The log that the filters of `benchmarks.filter` read: generations of the load model, as `sedi generate` writes them.

They are written once, by the real generator, and put behind the made runs of other sizes as they are.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.distribution import python_module
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings, environment_of
from schemas.envelope import Headers, Meta, encode
from schemas.events import InstructionsGenerated
from schemas.policy import policy_for
from schemas.seeds import parse_seed_lines
from streams.core.decider import first_classifier

_SEEDS = Path("producers/seeds/seed_tasks.jsonl")
_NO_LAG_LIMIT = "1000000000"


@dataclass(frozen=True)
class LoadGeneration:
    """A generation with its id."""

    id: str
    event: InstructionsGenerated

    def record(self, run: str, time: str) -> tuple[bytes, bytes, Headers]:
        """Key, value and headers of its record."""
        return encode(self.event, self.id, Meta(self.id, f"/sedi/{run}/bench", time))


def generate(settings: Settings, run: str, generations: int) -> None:
    """Make a run and let the real generator write so many generations to it; no filter decides meanwhile.

    Its lane has the name of the run, so that generations of two runs have different ids.
    """
    policy = policy_for()
    seeds = parse_seed_lines(_SEEDS.read_text(encoding="utf-8").splitlines(), _SEEDS.name)
    configure_run(settings, run, policy, seeds, versions={}, classifier=first_classifier(policy, seeds))
    command = python_module("sedi", "generate", "--run", run, "--lane", run, "--max-generations", str(generations))
    environment = {"SEDI_BACKEND": "load-model", "SEDI_MAX_FILTER_LAG": _NO_LAG_LIMIT}
    subprocess.run(
        [*command, "--max-ahead", "none", "--in-flight", "16", "--json"],
        env={**os.environ, **environment_of(settings), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def generations_of(settings: Settings, run: str) -> list[LoadGeneration]:
    """All generations on a run's log."""
    return list(_read(settings, run))


def _read(settings: Settings, run: str) -> Iterator[LoadGeneration]:
    with KafkaSource(settings, run).open(["generated"]) as reading:
        for record in reading.rest():
            assert isinstance(record.event, InstructionsGenerated), f"{record} of a new log cannot be read"
            yield LoadGeneration(record.id, record.event)


def append(settings: Settings, run: str, generations: Sequence[LoadGeneration]) -> int:
    """Write generations to a run; returns the offset of the first."""
    with LogWriter(settings, run, "bench") as log:
        sent = [log.send(each.event, key=each.id, id=each.id) for each in generations]
        return min(log.wait(future).offset for future in sent)
