"""How fast an audit goes, beside a bare consumer that reads and decodes the same topics of the same log.

The log is made by the core, without the worker around it: `generations` of `PER_GENERATION` instructions with the call
that gave them, and the filter's whole word on each. Both readers run in processes of their own, in turns, on the same
broker; the best of `ROUNDS` counts, for both.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from benchmarks.texts import source
from consumers.replay import audit
from infra.log import LogReader, LogWriter
from infra.run import configure_run
from infra.settings import Settings
from infra.source import TOPICS, KafkaSource
from infra.temporary_broker import temporary_broker
from schemas import ids
from schemas.events import CallAnswered, CallStarted, Instruction, InstructionsGenerated, Usage
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.seeds import SeedPool

PER_GENERATION = 5
ROUNDS = 3
_RUN = "bench"
_OUTPUT = "Here is an answer of a usual length, which says what was asked for in two or three plain sentences. " * 3

Step = Callable[..., None]


@dataclass(frozen=True)
class Reading:
    """One reader over the whole log: records, seconds, and the most memory it held."""

    records: int
    seconds: float
    peak_mb: float

    @property
    def per_second(self) -> float:
        return self.records / self.seconds


@dataclass(frozen=True)
class Result:
    """The best rounds over a log of so many instructions, of which so many were kept."""

    instructions: int
    kept: int
    bare: Reading
    audit: Reading
    divergences: int

    @property
    def ratio(self) -> float:
        """The audit's speed as a part of the bare consumer's."""
        return self.bare.seconds / self.audit.seconds


def measure(instructions: int, step: Step) -> Result:
    """Make the log and read it both ways. Raises AssertionError when the audit finds a divergence in it."""
    settings = Settings(state_dir=Path("build/benchmarks/state"), cache_dir=Path(".cache"))
    with temporary_broker(settings, short_lived=False) as broker:
        kept = make(broker.settings, instructions // PER_GENERATION, step)
        found: dict[str, list[dict[str, float]]] = {"bare": [], "audit": []}
        for number in range(ROUNDS):
            for name, results in found.items():
                step(f"reading {instructions:,} instructions: {name}, {number + 1} of {ROUNDS}")
                results.append(_child(name, broker.bootstrap))
    best = {name: min(results, key=lambda result: result["seconds"]) for name, results in found.items()}
    divergences = int(best["audit"].pop("divergences"))
    assert not divergences, "the audit found a divergence in a log that the core has just made"
    return Result(instructions, kept, Reading(**best["bare"]), Reading(**best["audit"]), divergences)  # type: ignore[arg-type]


def make(settings: Settings, generations: int, step: Step) -> int:
    """Write the log of a run; returns how many instructions were kept."""
    policy = policy_for()
    seeds = tuple(
        SeedTask(id=f"s{n}", instruction=text, output="x") for n, text in enumerate(islice(source().stream(), 200))
    )
    classifier = decider.first_classifier(policy, seeds)
    configure_run(settings, _RUN, policy, seeds, versions={}, classifier=classifier)
    state = decider.use_classifier(decider.initial_state(_configured(policy, seeds)), classifier)
    texts = islice(source().stream(), 200, None)
    pool = SeedPool.of(seeds)
    with LogWriter(settings, _RUN, "bench") as log:
        for offset in range(generations):
            if offset % 200 == 0:
                step("writing the log", offset, generations)
            tasks = tuple(Instruction(instruction=text, output=_OUTPUT) for text in islice(texts, PER_GENERATION))
            shown = tuple(seed.id for seed in pool.sample(policy.seeds_per_request, policy.rng_seed, "main", offset))
            _generate(log, offset, tasks, shown)
            state = _decide(log, state, offset, tasks, shown)
    return len(state.kept)


def _configured(policy: Policy, seeds: tuple[SeedTask, ...]) -> decider.RunConfigured:
    return decider.RunConfigured(run=_RUN, policy=policy, seeds=seeds, versions={})


def _generate(log: LogWriter, number: int, tasks: tuple[Instruction, ...], shown: tuple[str, ...]) -> None:
    id = ids.generation_id("main", number)
    request = ids.request_id(id, 0)
    raw = "\n###\n".join(
        f"{place}. Instruction: {task.instruction}\n{place}. Input: <noinput>\n{place}. Output: {task.output}"
        for place, task in enumerate(tasks, start=4)
    )
    started = CallStarted(
        request_id=request, attempt=1, generation_id=id, lane="main", number=number, step=0, backend="b", model="m"
    )
    answered = CallAnswered(
        request_id=request, attempt=1, model="m", raw=raw, finish_reason="stop",
        usage=Usage(prompt_tokens=500, completion_tokens=400), cost_usd=0.001, latency_s=1.5,
    )  # fmt: skip
    log.send(started, key=request, id=ids.child(request, "started/1"))
    log.send(answered, key=request, id=ids.child(request, "answered/1"))
    event = _event(number, tasks, shown, (answered,))
    log.send(event, key=id, id=id)


def _event(
    number: int, tasks: tuple[Instruction, ...], shown: tuple[str, ...], answers: tuple[CallAnswered, ...] = ()
) -> InstructionsGenerated:
    return InstructionsGenerated(
        lane="main", number=number, style="alpaca", parser="strict", backend="b", model="m",
        parameters={"temperature": 1.0}, seed_ids=shown, seed_commands_offset=-1, answers=answers,
        instructions=tasks, unparsed=(), cost_usd=0.001,
    )  # fmt: skip


def _decide(
    log: LogWriter, state: decider.FilterState, offset: int, tasks: tuple[Instruction, ...], shown: tuple[str, ...]
) -> decider.FilterState:
    due = decider.due_classifier(state)
    if due is not None:
        log.send(due, key=_RUN, id=ids.classifier_id(due.from_offset))
        decider.use_classifier(state, due)
    id = ids.generation_id("main", offset)
    verdict = decider.decide(state, offset, id, _event(offset, tasks, shown))
    for row in verdict.decision.kept:
        log.send(row, key=row.id, id=row.id, causation_id=id, partition=row.cluster)
    log.send(verdict.rejected, key=id, id=ids.verdict_id(offset), causation_id=id)
    return decider.evolve(state, verdict.decision)


def _child(name: str, bootstrap: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.replay", name, bootstrap], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _read(name: str, bootstrap: str) -> dict[str, float]:
    settings = Settings(bootstrap_servers=bootstrap)
    if name == "bare":
        with LogReader(settings, _RUN, TOPICS) as reader:
            started = time.monotonic()
            records = sum(1 for record in reader.read_to_end() if record.decoded is not None)
            reading = Reading(records, time.monotonic() - started, _peak_mb())
        return asdict(reading)
    found = audit(KafkaSource(settings, _RUN))
    return asdict(Reading(found.records, found.seconds, _peak_mb())) | {"divergences": found.divergences}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(_read(*sys.argv[1:3])))
