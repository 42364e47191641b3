"""A long run with kills: `python -m tests.harness.long_run --instructions 100000 --kills 20`.

The same recorded answers are run twice on a temporary broker, with generator, worker and trainer of a tiny model: once
undisturbed, and once with SIGKILLs at random times to filter, generator, trainer and broker, each of which is
restarted. Both logs are audited, and their digests of `generated`, `kept`, `rejected` and `training-log` must be equal;
training has a fixed number of windows.

Progress goes to standard error, the result as JSON to standard output. Exits with 1 when anything differs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.replay import Audit, audit
from consumers.trainer.record.output_capture import capture_output
from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.policy import policy_for
from streams.core.decider import first_classifier
from tests.conftest import ROOT
from tests.harness.answers import write_answers
from tests.harness.crew import Crew
from tests.unit.core.conftest import own_seeds
from tests.unit.trainer.tiny import save_tiny

TASKS = 5
VICTIMS = ("filter", "generator", "trainer", "broker")
COMPARED = ("generated", "kept", "rejected", "training-log")
_REPORT_EVERY_S = 5.0
_BROKER_AWAY_S = 2.0


@dataclass
class LongRun:
    """One of the two runs."""

    broker: TemporaryBroker
    run: str
    folder: Path
    generations: int
    windows: int
    concurrency: int
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        (self.folder / self.run).mkdir()
        self.crew = Crew(self.broker.settings, self.run, self.folder / self.run)
        self._began = time.monotonic()
        self._reported = 0.0

    def play(self, deaths: list[tuple[int, str]]) -> Audit:
        """Run to the end; `deaths`: (decided generations, victim), in order."""
        policy = policy_for(batch_size=16)
        seeds = own_seeds()
        settings = self.broker.settings
        configure_run(settings, self.run, policy, seeds, versions={}, classifier=first_classifier(policy, seeds))
        self._began = time.monotonic()
        try:
            self._start()
            with self._counting() as decided:
                for at, victim in deaths:
                    self._wait(decided, at)
                    self._kill(victim)
                self._wait(decided, self.generations)
            for name in ("generator", "trainer"):
                self.crew.wait(lambda name=name: self.crew.members[name].done, 600, f"the {name} ends")  # type: ignore[misc]
            time.sleep(5.0)  # the last windows are answered
            self.crew.end("filter")
        finally:
            self.crew.stop()
        self.seconds = time.monotonic() - self._began
        self._report("auditing")
        return audit(KafkaSource(settings, self.run))

    def _start(self) -> None:
        crew = self.crew
        crew.add("filter", "worker", "--log-level", "INFO")
        crew.add(
            "generator",
            "generate",
            "--style",
            "alpaca",
            "--recorded",
            str(self.folder / "answers.jsonl"),
            "--concurrency",
            str(self.concurrency),
            "--max-generations",
            str(self.generations),
            "--max-ahead",
            "none",  # the trainer ends before it
            environment={"SEDI_MAX_FILTER_LAG": "64"},
        )
        crew.add(
            "trainer",
            "train",
            "--model",
            str(self.folder / "tiny"),
            "--precision",
            "fp32",
            "--threads",
            "1",
            "--lr",
            "1e-3",
            "--max-windows",
            str(self.windows),
            "--output",
            str(self.folder / self.run / "out"),
        )

    def _kill(self, victim: str) -> None:
        member = self.crew.members.get(victim)
        if member is not None and member.done:
            victim, member = "filter", self.crew.members["filter"]
        self.kills[victim] += 1
        self._report(f"kill {self.kills.total()}: the {victim}")
        if member is not None:
            self.crew.kill(victim)
        else:
            self.broker.kill()
            time.sleep(_BROKER_AWAY_S)
            self.broker.restart()

    @contextmanager
    def _counting(self) -> Iterator["LogReader"]:
        with LogReader(self.broker.settings, self.run, ["generated", "rejected", "training-log"]) as reader:
            yield reader

    def _wait(self, reader: LogReader, decided: int) -> None:
        """Wait until the filter has decided so many generations; duplicates count, so it may be a few less."""

        def reached() -> bool:
            ends = {topic: end for (topic, _), end in reader.ends().items()}
            if time.monotonic() - self._reported > _REPORT_EVERY_S:
                self._reported = time.monotonic()
                counts = f"{ends['generated']} generated, {ends['rejected']} decided, {ends['training-log']} windows"
                self._report(counts)
            return ends["rejected"] >= decided and (decided < self.generations or self._last_decided())

        self.crew.wait(reached, 3600, f"{decided} generations are decided")

    def _last_decided(self) -> bool:
        with LogReader(self.broker.settings, self.run, ["rejected"]) as reader:
            end = reader.ends()["rejected", 0]
            reader.seek("rejected", 0, max(0, end - 20))
            events = [record.event for record in reader.read_to_end()]
        return any(event is not None and event.generated_offset >= self.generations - 1 for event in events)  # type: ignore[attr-defined]

    def _report(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._began:7.1f} s  {self.run}: {text}\n")


def deaths_of(kills: int, generations: int, seed: int) -> list[tuple[int, str]]:
    """Kills as (decided generations, victim): equally many of each victim, in random order, in the middle 90 %."""
    draw = random.Random(seed)
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
    draw.shuffle(victims)
    moments = sorted(draw.randrange(generations // 20, generations * 19 // 20) for _ in range(kills))
    return list(zip(moments, victims, strict=True))


def summary(run: LongRun, audited: Audit) -> dict[str, Any]:
    return {
        "seconds": round(run.seconds, 1),
        "audit_seconds": round(audited.seconds, 1),
        "divergences": audited.divergences,
        "first": None if audited.first is None else audited.first.what,
        "undecided": audited.undecided,
        "checked": audited.checked,
        "repeats": audited.repeats,
        "kills": dict(run.kills),
        "lives": {name: member.lives for name, member in run.crew.members.items()},
        "ended_by_errors": run.crew.failed,
        "digests": audited.digests,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--windows", type=int, help="training windows; default: one for each 500 instructions")
    parser.add_argument("--concurrency", type=int, default=32, help="generations in flight")
    parser.add_argument("--seed", type=int, default=1, help="of the answers and the kills")
    parser.add_argument("--state-dir", type=Path, default=ROOT / "var" / "long-run")
    given = parser.parse_args()
    generations = given.instructions // TASKS
    windows = given.windows or max(2, given.instructions // 500)
    given.state_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(state_dir=given.state_dir, cache_dir=ROOT / ".cache")
    with temporary_broker(settings) as broker, tempfile.TemporaryDirectory(dir=given.state_dir) as name:
        folder = Path(name)
        write_answers(folder / "answers.jsonl", generations, TASKS, given.seed)
        with capture_output(folder / "log"):
            save_tiny(folder / "tiny")
        runs = [
            LongRun(broker, run, folder, generations, windows, given.concurrency)
            for run in ("undisturbed", "disturbed")
        ]
        audits = [runs[0].play([]), runs[1].play(deaths_of(given.kills, generations, given.seed))]
    same = {topic: audits[0].digests[topic] == audits[1].digests[topic] for topic in COMPARED}
    good = all(same.values()) and not any(audited.divergences or audited.undecided for audited in audits)
    result = {
        "instructions": generations * TASKS,
        "kept": audits[1].checked["kept"],
        "good": good,
        "same_digests": same,
        "runs": {run.run: summary(run, audited) for run, audited in zip(runs, audits, strict=True)},
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
