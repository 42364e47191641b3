"""Drives a real worker process over a real log, and computes the decisions of an undisturbed run."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.run import configure_run, read_run
from infra.log.writer import LogWriter
from infra.settings import Settings, load
from schemas import ids
from schemas.events import ClassifierFitted, Instruction, InstructionsGenerated, ReplaceSeeds
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.decider import FilterState, Verdict
from streams.core.seeds import SeedPool
from tests.harness.forked import Forked, fork

TOPICS = (
    "explain how a {} works",
    "write a short story about a {}",
    "list five uses for a {}",
    "compare a {} with a river",
    "describe the history of the {}",
    "give advice on buying a {}",
    "translate the word {} to French",
)


def instruction_text(number: int) -> str:
    """Texts that repeat themselves enough for all verdicts to occur."""
    noun = f"{('old', 'red', 'small', 'wooden')[number % 4]} thing{number % 97}"
    return TOPICS[number % len(TOPICS)].format(noun) if number % 11 else "Draw it"


def generation(number: int, seeds: tuple[SeedTask, ...], size: int = 3, lane: str = "g0") -> InstructionsGenerated:
    """The number-th generation of a lane, always the same."""
    return InstructionsGenerated(
        lane=lane,
        number=number,
        style="alpaca",
        parser="strict",
        backend="recorded",
        model="none",
        parameters={},
        seed_ids=tuple(seed.id for seed in SeedPool.of(seeds).sample(3, Policy().rng_seed, lane, number)),
        seed_commands_offset=-1,
        answers=(),
        instructions=tuple(
            Instruction(instruction=instruction_text(number * size + k), output=f"answer {number}") for k in range(size)
        ),
        unparsed=(),
        cost_usd=None,
    )


def seeds(count: int = 40) -> tuple[SeedTask, ...]:
    return tuple(
        SeedTask(id=f"s{n}", instruction=f"{TOPICS[n % len(TOPICS)].format(f'seed{n}')} number {n}", output="x")
        for n in range(count)
    )


def work(run: str, prepare: Callable[[], None] | None = None) -> int:
    """A worker, in a process of its own."""
    from streams.worker.main import run_worker

    if prepare is not None:
        prepare()
    return run_worker(load(), run, "INFO", lambda error: os._exit(1))


@dataclass
class Rig:
    """A configured run and the worker processes on it."""

    settings: Settings
    run: str
    policy: Policy
    logs: Path
    workers: list[Forked] = field(default_factory=list)

    def configure(self) -> None:
        classifier = decider.first_classifier(self.policy, seeds())
        configure_run(self.settings, self.run, self.policy, seeds(), versions={}, classifier=classifier)

    def writer(self) -> LogWriter:
        return LogWriter(self.settings, self.run, "test")

    def start_worker(self, prepare: Callable[[], None] | None = None) -> Forked:
        """`prepare` is called in the worker's process, before it begins."""
        output = self.logs / f"worker-{len(self.workers)}.log"
        worker = fork(work, self.run, prepare, settings=self.settings, output=output, folder=self.logs)
        self.workers.append(worker)
        return worker

    def log_of(self, worker: int) -> str:
        """The output of the worker of that number so far."""
        return (self.logs / f"worker-{worker}.log").read_text(errors="replace")

    def wait_standing_by(self, timeout_s: float = 150.0) -> int:
        """Wait until one worker's last word is that another decides, and return its number."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for worker in range(len(self.workers)):
                output = self.log_of(worker)
                if output.rfind("standing by") > output.rfind("active from"):
                    return worker
            time.sleep(0.2)
        raise AssertionError(f"no worker stood by within {timeout_s} s; the first one said:\n{self.log_of(0)[-2000:]}")

    def stop_workers(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.workers:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def reader(self, *topics: str) -> LogReader:
        return LogReader(self.settings, self.run, topics, "test")

    def wait_decided(self, offset: int, timeout_s: float = 150.0) -> None:
        """Wait until the filter's word on `offset` of `generated` lies on the log."""
        deadline = time.monotonic() + timeout_s
        with self.reader("rejected") as reader:
            end = reader.ends()["rejected", 0]
            reader.seek("rejected", 0, max(0, end - 50))
            while time.monotonic() < deadline:
                if any(r.event is not None and r.event.generated_offset >= offset for r in reader.poll()):  # type: ignore[attr-defined]
                    return
        logs = "\n".join(f"worker {number}:\n{self.log_of(number)[-2000:]}" for number in range(len(self.workers)))
        raise AssertionError(f"offset {offset} was not decided within {timeout_s} s; the workers said:\n{logs}")

    def records(self, *topics: str) -> list[Record]:
        with self.reader(*topics) as reader:
            return list(reader.read_to_end())


def first_of_each(records: list[Record], topic: str) -> dict[str, bytes]:
    """The value of each event id's first record on a topic: what a reader has after dropping repeats."""
    found: dict[str, bytes] = {}
    for record in sorted((r for r in records if r.topic == topic), key=lambda r: (r.partition, r.offset)):
        assert record.decoded is not None and record.value is not None
        found.setdefault(record.id, record.value)
    return found


def undisturbed(rig: Rig, through: int | None = None) -> tuple[FilterState, dict[str, bytes], dict[str, bytes]]:
    """What one pass of the core over the same log decides: the state, and the values of `kept` and `rejected` by id."""
    configured, recorded = read_run(rig.settings, rig.run)
    state = decider.use_classifier(decider.initial_state(configured), recorded[0])
    kept: dict[str, bytes] = {}
    rejected: dict[str, bytes] = {}
    for record in rig.records("generated"):
        if through is not None and record.offset > through:
            break
        verdict: Verdict
        if isinstance(record.event, InstructionsGenerated):
            verdict = decider.decide(state, record.offset, record.id, record.event)
        else:
            verdict = decider.empty_verdict(state, record.offset)
        for row in verdict.decision.kept:
            kept[row.id] = msgspec.json.encode(row)
        rejected[ids.verdict_id(record.offset)] = msgspec.json.encode(verdict.rejected)
        decider.apply(state, verdict.decision)
        due = decider.due_classifier(state)
        if due is not None:
            decider.use_classifier(state, due)
    return state, kept, rejected


__all__ = ["ClassifierFitted", "ReplaceSeeds", "Rig", "first_of_each", "generation", "seeds", "undisturbed"]
