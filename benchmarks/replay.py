"""The speed of an audit against a bare consumer that reads and decodes the same topics of the same log.

Logs are written with the core, without the worker: generations of `PER_GENERATION` instructions, their calls, and the
filter's verdicts. One has the `alpaca` style, one call for all; one `two-step`, as `make run`, with a call for the list
and one for each answer: the larger the share of calls, the smaller that of decisions. Nearly all are kept, which is the
most work for an audit. The readers run in separate processes, in turn, on the same broker; the best of `ROUNDS` counts.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.texts import source
from consumers.replay import audit
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import TOPICS, KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from schemas.events import CallAnswered, CallStarted, Instruction, InstructionsGenerated, RunConfigured, Usage
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.parse.answers import READING, AnswerForm, read
from streams.core.seeds import SeedPool

INSTRUCTIONS = 30_000
STYLES = ("alpaca", "two-step")
PER_GENERATION = 5
ROUNDS = 3
_RUN = "bench"
_OUTPUT = "Here is an answer of a usual length, which says what was asked for in two or three plain sentences. " * 3

Step = Callable[..., None]


@dataclass(frozen=True)
class Reading:
    """One reader of the whole log.

    jobs      its processes; 0 for the bare consumer
    peak_mb   peak memory of the main process
    ratio     its speed relative to the bare consumer
    """

    jobs: int
    records: int
    seconds: float
    peak_mb: float
    ratio: float = 1.0

    @property
    def per_second(self) -> float:
        return self.records / self.seconds


@dataclass(frozen=True)
class Result:
    """The readers of one log, with its style and numbers of instructions and kept rows."""

    style: str
    instructions: int
    kept: int
    bare: Reading
    audits: tuple[Reading, ...]


def measure(style: str, instructions: int, step: Step) -> Result:
    """Write a log and read it with every reader. Raises AssertionError when the audit finds a divergence."""
    settings = Settings(state_dir=Path("build/benchmarks/state"), cache_dir=Path(".cache"))
    ways = sorted({0, 1, os.cpu_count() or 1})
    with temporary_broker(settings, short_lived=False) as broker:
        kept = make(broker.settings, style, instructions // PER_GENERATION, step)
        found: dict[int, list[Reading]] = {jobs: [] for jobs in ways}
        for number in range(ROUNDS):
            for jobs, readings in found.items():
                step(f"reading {instructions:,} of style {style}, {jobs} jobs, round {number + 1} of {ROUNDS}")
                readings.append(_child(jobs, broker.bootstrap))
    best = {jobs: min(readings, key=lambda reading: reading.seconds) for jobs, readings in found.items()}
    bare = best.pop(0)
    audits = tuple(replace(reading, ratio=bare.seconds / reading.seconds) for reading in best.values())
    return Result(style, instructions, kept, bare, audits)


def show(console: Console, result: Result) -> None:
    """The readers, one per line."""
    table = Table(title=f"A log of {result.instructions:,} instructions ({result.style}), {result.kept:,} kept")
    for column in ("reader", "records", "s", "records/s", "of the bare one's speed", "peak MB"):
        table.add_column(column, justify="left" if column == "reader" else "right")
    for reading in (result.bare, *result.audits):
        name = f"audit, {reading.jobs} processes" if reading.jobs else "reads and decodes, no more"
        table.add_row(
            name,
            f"{reading.records:,}",
            f"{reading.seconds:.2f}",
            f"{reading.per_second:,.0f}",
            f"{reading.ratio:.2f}",
            f"{reading.peak_mb:.0f}",
        )
    console.print(table)


def write_json(path: Path, results: list[Result]) -> None:
    path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")


def make(settings: Settings, style: str, generations: int, step: Step) -> int:
    """Write the log of a run; returns the number of kept rows."""
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
            state = _decide(log, state, offset, _generate(log, style, offset, tasks, shown))
    return len(state.kept)


def _configured(policy: Policy, seeds: tuple[SeedTask, ...]) -> RunConfigured:
    return RunConfigured(run=_RUN, policy=policy, seeds=seeds, versions={})


def _generate(
    log: LogWriter, style: str, number: int, tasks: tuple[Instruction, ...], shown: tuple[str, ...]
) -> InstructionsGenerated:
    """Write a generation with its calls; its instructions are parsed from the answers."""
    id = ids.generation_id("main", number)
    first = len(shown) + 1
    if style == "alpaca":
        parts = [
            f"{at}. Instruction: {task.instruction}\n{at}. Input: <noinput>\n{at}. Output: {task.output}"
            for at, task in enumerate(tasks, start=first)
        ]
        raws = ["\n###\n".join(parts).removeprefix(f"{first}. Instruction:")]
    else:
        listed = "\n".join(f"{at}. {task.instruction}" for at, task in enumerate(tasks, start=first))
        raws = [listed, *(task.output for task in tasks)]
    answers = tuple(_call(log, id, number, step, raw) for step, raw in enumerate(raws))
    event = _event(style, number, shown, answers)
    log.send(event, key=id, id=id)
    return event


def _call(log: LogWriter, generation: str, number: int, step: int, raw: str) -> CallAnswered:
    request = ids.request_id(generation, step)
    started = CallStarted(
        request_id=request,
        attempt=1,
        generation_id=generation,
        lane="main",
        number=number,
        step=step,
        backend="b",
        model="m",
    )
    answered = CallAnswered(
        request_id=request,
        attempt=1,
        model="m",
        raw=raw,
        finish_reason="stop",
        usage=Usage(prompt_tokens=500, completion_tokens=400),
        cost_usd=0.001,
        latency_s=1.5,
    )
    log.send(started, key=request, id=ids.child(request, "started/1"))
    log.send(answered, key=request, id=ids.child(request, "answered/1"))
    return answered


def _event(style: str, number: int, shown: tuple[str, ...], answers: tuple[CallAnswered, ...]) -> InstructionsGenerated:
    instructions, unparsed, cut = read(
        AnswerForm(style, "strict", len(shown), most=PER_GENERATION), dict(enumerate(answers))
    )
    return InstructionsGenerated(
        lane="main",
        number=number,
        style=style,
        parser="strict",
        backend="b",
        model="m",
        parameters={"temperature": 1.0, "most": PER_GENERATION},
        seed_ids=shown,
        seed_commands_offset=-1,
        answers=answers,
        instructions=instructions,
        unparsed=unparsed,
        cost_usd=0.001,
        reading=READING,
        cut=cut,
    )


def _decide(
    log: LogWriter, state: decider.FilterState, offset: int, event: InstructionsGenerated
) -> decider.FilterState:
    due = decider.due_classifier(state)
    if due is not None:
        log.send(due, key=_RUN, id=ids.classifier_id(due.from_offset))
        decider.use_classifier(state, due)
    id = ids.generation_id("main", offset)
    verdict = decider.decide(state, offset, id, event)
    for row in verdict.decision.kept:
        log.send(row, key=row.id, id=row.id, causation_id=id, partition=row.cluster)
    log.send(verdict.rejected, key=id, id=ids.verdict_id(offset), causation_id=id)
    decider.apply(state, verdict.decision)
    return state


def _child(jobs: int, bootstrap: str) -> Reading:
    command = [sys.executable, "-m", "benchmarks.replay", str(jobs), bootstrap]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Reading(**json.loads(done.stdout))


def _read(jobs: int, bootstrap: str) -> Reading:
    settings = Settings(bootstrap_servers=bootstrap)
    if jobs:
        found = audit(KafkaSource(settings, _RUN), jobs=jobs)
        assert not found.divergences, f"a divergence in a log that the core has just made: {found.first}"
        return Reading(jobs, found.records, found.seconds, _peak_mb())
    started = time.monotonic()
    with LogReader(settings, _RUN, TOPICS) as reader:
        records = sum(1 for record in reader.read_to_end() if record.decoded is not None)
    return Reading(0, records, time.monotonic() - started, _peak_mb())


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(asdict(_read(int(sys.argv[1]), sys.argv[2]))))
