"""Makes runs, drives generators over them in this process or another, and reads their output."""

import pickle
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from infra.cluster.topics import apply
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.writer import LogWriter
from infra.settings import Settings, load
from producers.generate.generator import GenerateOptions, GenerateSummary, generate
from schemas import ids
from schemas.events import Event, InstructionsGenerated, RunConfigured
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core.ledger import Ledger
from tests.harness.forked import Forked, fork

SEEDS = tuple(SeedTask(id=f"s{n}", instruction=f"Do thing number {n} now.", output="Done.") for n in range(30))


@dataclass(frozen=True)
class Rig:
    """A configured run, and a folder for what its generators need."""

    settings: Settings
    run: str
    folder: Path

    def configure(self, policy: Policy | None = None) -> None:
        chosen = policy or policy_for(batch_size=2)
        apply(self.settings, self.run, chosen.clusters)
        with self.writer() as writer:
            event = RunConfigured(run=self.run, policy=chosen, seeds=SEEDS, versions={})
            writer.write(event, key=self.run, id=ids.run_id(self.run))

    def writer(self) -> LogWriter:
        return LogWriter(self.settings, self.run, "test")

    def answers(self, count: int, name: str = "answers.jsonl") -> Path:
        """A file of whole answers, two tasks each."""
        return self.file([answer(number) for number in range(count)], name)

    def file(self, raws: list[str], name: str = "answers.jsonl") -> Path:
        usage = {"prompt_tokens": 100, "completion_tokens": 50}
        lines = [msgspec.json.encode({"raw": raw, "usage": usage}) for raw in raws]
        path = self.folder / name
        path.write_bytes(b"\n".join(lines))
        return path

    def generate(self, options: GenerateOptions, **settings: Any) -> GenerateSummary:
        return generate(options, self.settings.model_copy(update=settings))

    def start(self, options: GenerateOptions) -> Forked:
        """A generator in a process of its own."""
        summary = self.folder / "summary.pickle"
        summary.unlink(missing_ok=True)
        return fork(_generate, options, summary, settings=self.settings, output=self.folder / "generator.log")

    def summary(self) -> GenerateSummary:
        """What the last process that ended by itself said of its work."""
        found = pickle.loads((self.folder / "summary.pickle").read_bytes())
        assert isinstance(found, GenerateSummary)
        return found

    def records(self, topic: str) -> list[Record]:
        with LogReader(self.settings, self.run, [topic], "test") as reader:
            return list(reader.read_to_end())

    def events(self, topic: str, kind: type[Event]) -> list[Any]:
        return [record.event for record in self.records(topic) if isinstance(record.event, kind)]

    def generations(self) -> list[InstructionsGenerated]:
        return self.events("generated", InstructionsGenerated)

    def ledger(self) -> Ledger:
        ledger = Ledger()
        for record in self.records("calls"):
            assert record.event is not None
            ledger.apply(record.event, record.id)
        return ledger

    def wait_for(self, topic: str, count: int, timeout_s: float = 90.0) -> None:
        """Wait until the topic holds this many records."""
        deadline = time.monotonic() + timeout_s
        with LogReader(self.settings, self.run, [topic], "test") as reader:
            while reader.ends()[topic, 0] < count:
                assert time.monotonic() < deadline, f"{topic} has not come to {count} records"
                time.sleep(0.01)


def answer(number: int) -> str:
    """The number-th recorded answer: two tasks."""
    return (
        f" Name thing {number} please.\n4. Input:\n<noinput>\n4. Output:\nThing {number}.\n###\n"
        f"5. Instruction: Add two to {number} now.\n5. Input:\n{number}\n5. Output:\n{number + 2}\n"
    )


def _generate(options: GenerateOptions, summary: Path) -> None:
    summary.write_bytes(pickle.dumps(generate(options, load())))
