"""A run with live generator, worker and trainer, and the invariants of its log after any crash."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, TopicPartition

from consumers.replay import Audit, audit
from infra.cluster.connection import connection
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.policy import policy_for
from streams.core.decider import first_classifier
from tests.e2e.driver import write_answers
from tests.harness.crew import Crew
from tests.harness.effects import on_log, seed_entries, undisturbed
from tests.unit.core.conftest import own_seeds

POLICY = policy_for(batch_size=4, refit_from=32, window_steps=5, warm_up_steps=5)
Deaths = Iterable[tuple[str, int]]


@dataclass
class CrashRig:
    settings: Settings
    run: str
    trainee: Path
    folder: Path
    generations: int = 600
    crew: Crew = field(init=False)

    def __post_init__(self) -> None:
        self.crew = Crew(self.settings, self.run, self.folder)

    def configure(self) -> None:
        seeds = own_seeds()[:24]
        classifier = first_classifier(POLICY, seeds)
        configure_run(self.settings, self.run, POLICY, seeds, versions={}, classifier=classifier)
        write_answers(self.folder / "answers.jsonl", self.generations)

    def start_worker(self, deaths: Deaths = (), name: str = "worker") -> None:
        self.crew.add(name, "worker", deaths=deaths)

    def start_generator(self, deaths: Deaths = (), lag: int = 10_000) -> None:
        self.crew.add(
            "generator",
            "generate",
            "--style",
            "alpaca",
            "--recorded",
            "answers.jsonl",
            "--concurrency",
            "4",
            "--max-generations",
            str(self.generations),
            "--max-ahead",
            "none",
            deaths=deaths,
            environment={"SEDI_MAX_FILTER_LAG": str(lag)},
        )

    def start_trainer(self, deaths: Deaths = ()) -> None:
        self.crew.add(
            "trainer",
            "train",
            "--model",
            str(self.trainee),
            "--precision",
            "fp32",
            "--threads",
            "1",
            "--lr",
            "1e-2",
            "--checkpoint-every",
            "4",
            "--output",
            str(self.folder / "out"),
            deaths=deaths,
        )

    def ends(self) -> dict[str, int]:
        """The number of records of each topic with one partition."""
        with LogReader(self.settings, self.run, ["generated", "rejected", "training-log"]) as reader:
            return {topic: end for (topic, _), end in reader.ends().items()}

    def decided(self) -> int:
        """The last offset of `generated` with a verdict on the log, -1 for none."""
        with LogReader(self.settings, self.run, ["rejected"]) as reader:
            end = reader.ends()["rejected", 0]
            reader.seek("rejected", 0, max(0, end - 50))
            events = [record.event for record in reader.read_to_end()]
        return max((event.generated_offset for event in events if event is not None), default=-1)  # type: ignore[attr-defined]

    def finish(self, windows: int, timeout_s: float) -> Audit:
        """Wait until all is generated and decided and some windows are trained; stop in order, and check the log."""
        crew = self.crew
        crew.wait(lambda: crew.members["generator"].done, timeout_s, "the generator ends")
        last = self.ends()["generated"] - 1
        crew.wait(lambda: self.decided() >= last, timeout_s, f"offset {last} is decided")
        crew.wait(lambda: self.ends()["training-log"] >= windows, timeout_s, f"{windows} windows are trained")
        assert crew.end("trainer") in (0, 130, 143)
        deadline = time.monotonic() + 150
        while (problem := self._differences()) and time.monotonic() < deadline:
            crew.tend()
            time.sleep(0.5)
        assert not problem, problem
        audited = audit(KafkaSource(self.settings, self.run))
        assert audited.divergences == 0, audited.first
        assert audited.undecided == audited.pending == 0
        assert audited.unreadable == {}
        return audited

    def _differences(self) -> str:
        """How log and tables differ from one undisturbed pass; the last effects may still be missing."""
        source = KafkaSource(self.settings, self.run)
        found = on_log(source)
        try:
            whole = undisturbed(source)
        except AssertionError as error:
            return str(error)
        for name in ("kept", "rejected", "classifiers", "commands"):
            if getattr(found, name) != getattr(whole.effects, name):
                return f"{name} is not what one undisturbed pass decides"
        tables = {
            "kept": {str(offset).encode(): value for offset, value in whole.decisions.items()},
            "scores": {id.encode(): msgspec.json.encode(score) for id, score in whole.state.scores.items()},
            "seeds": seed_entries(whole.pool),
        }
        for name, table in tables.items():
            if self._changelog(name) != table:
                return f"the changelog of the {name} table is not what one undisturbed pass decides"
        return ""

    def _changelog(self, table: str) -> dict[bytes, bytes]:
        consumer = KafkaConsumer(**connection(self.settings, "test-changelog"), group_id=None)
        partition = TopicPartition(f"sedi.{self.run}.worker-{table}-changelog", 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found = {}
        while consumer.position(partition) < end:
            for record in consumer.poll(500).get(partition, []):
                found[record.key] = record.value
        consumer.close()
        return found
