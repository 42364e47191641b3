"""The records of a made run (`benchmarks.made_log`)."""

import itertools
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from benchmarks.texts import source
from infra.log.archiving import TABLES
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallStarted,
    Event,
    Instruction,
    InstructionAnswered,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Judge,
    Rejection,
    ReplaceSeeds,
    RunConfigured,
    StepLogged,
    TrainingLogged,
    Usage,
)
from schemas.policy import Policy, policy_for
from schemas.registry import spec_of
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.decider import Decision
from streams.core.judging import LANE as JUDGE_LANE
from streams.core.judging import SCALE
from streams.core.parse.answers import READING
from streams.core.scores import SeedScore

KEPT = 5  # of each generation
_SEEDS = 175
_STEPS = 10  # of a training window
_EVERY_MS = 350  # between two generations, by the timestamps
_OUTPUT = "Here is an answer of a usual length, which says what was asked for in two or three plain sentences. " * 3
_JUDGE = Judge(backend="openai", model="made", rubric="accuracy", version=1)


@dataclass(frozen=True)
class MadeRun:
    """What is made.

    rows       kept rows, to the next multiple of `KEPT`
    answered   answers are asked for apart, and each kept row has one (policy `answer` is `kept`)
    judged     each kept row has a judgement
    trained    each kept row is in a training window
    """

    rows: int
    run: str = "made"
    answered: bool = False
    judged: bool = False
    trained: bool = False

    @property
    def policy(self) -> Policy:
        return policy_for(answer="kept" if self.answered else "all")


class Made(NamedTuple):
    """A record: its topic and partition, what it holds and when it was written."""

    topic: str
    partition: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def records(made: MadeRun) -> Iterator[Made]:
    """The records of the run, each partition's in order."""
    end_ms, generations = int(time.time() * 1000), -(-made.rows // KEPT)
    texts, policy = source().stream(), made.policy
    seeds = tuple(SeedTask(id=f"s{n}", instruction=next(texts), output="x") for n in range(_SEEDS))
    first = decider.first_classifier(policy, seeds)
    last = msgspec.structs.replace(
        first, from_offset=generations, fitted_on="kept", texts=generations * KEPT, kept_total=generations * KEPT
    )
    begun = end_ms - generations * _EVERY_MS
    writer = _Encoder(made.run)
    configured = RunConfigured(run=made.run, policy=policy, seeds=seeds, versions={})
    yield writer.of(configured, ids.run_id(made.run), begun, made.run)
    for classifier in (first, last):
        yield writer.of(classifier, ids.classifier_id(classifier.from_offset), begun, made.run)
    scores: dict[str, SeedScore] = {}
    rows: list[InstructionKept] = []
    for number in range(generations):
        now = begun + number * _EVERY_MS
        shown = tuple(seeds[(number * policy.seeds_per_request + place) % _SEEDS].id for place in range(3))
        generation = _generation(made, number, list(itertools.islice(texts, KEPT)), shown)
        for event, id, partition in generation.events:
            yield writer.of(event, id, now, partition=partition)
        value = msgspec.json.encode(generation.decision)
        yield Made(TABLES[0], 0, now, str(number).encode(), value, [])
        for seed in shown:
            scores[seed] = scores.get(seed, SeedScore()).credit(KEPT + 1, KEPT, number)
        for place, row in enumerate(generation.decision.kept):
            for event, id, partition in _of_row(made, number * KEPT + place, row):
                yield writer.of(event, id, now, partition=partition)
        rows += generation.decision.kept if made.trained else ()
        while len(rows) >= _STEPS * policy.batch_size:
            window = (number * KEPT) // (_STEPS * policy.batch_size)
            yield from _window(writer, policy, window, rows[: _STEPS * policy.batch_size], now)
            del rows[: _STEPS * policy.batch_size]
    for id, score in scores.items():
        yield Made(TABLES[1], 0, end_ms, id.encode(), msgspec.json.encode(score), [])


class _Generation(NamedTuple):
    decision: Decision
    events: list[tuple[Event, str, int]]


def _generation(made: MadeRun, number: int, texts: list[str], shown: tuple[str, ...]) -> _Generation:
    """One generation with its calls and verdicts; each text has its number, so that all are different."""
    id, clusters = ids.generation_id("main", number), made.policy.clusters
    texts = [f"{text} ({number}.{place})" for place, text in enumerate(texts)]
    texts.append(texts[0])
    outputs = [("" if made.answered else _OUTPUT)] * len(texts)
    tasks = tuple(Instruction(instruction=text, output=out) for text, out in zip(texts, outputs, strict=True))
    style = "two-step" if made.answered else "alpaca"
    raw = "\n".join(f"{at}. {task.instruction} {task.output}" for at, task in enumerate(tasks))
    started, answered = _call(id, "main", number, raw)
    event = InstructionsGenerated(
        lane="main",
        number=number,
        style=style,
        parser="strict",
        backend="openai",
        model="made",
        parameters={"temperature": 1.0, "most": len(tasks)},
        seed_ids=shown,
        seed_commands_offset=-1,
        answers=(answered,),
        instructions=tasks,
        unparsed=(),
        cost_usd=answered.cost_usd,
        reading=READING,
    )
    kept = tuple(
        InstructionKept(
            id=ids.instruction_id(id, place),
            instruction=task.instruction,
            input="",
            output=task.output,
            generation_id=id,
            generated_offset=number,
            place=place,
            cluster=zlib.crc32(task.instruction.encode()) % clusters,
            classifier_offset=0,
        )
        for place, task in enumerate(tasks[:KEPT])
    )
    rejection = Rejection(
        id=ids.instruction_id(id, KEPT),
        place=KEPT,
        reason="similar",
        similarity=1.0,
        nearest_id=kept[0].id,
        threshold=made.policy.threshold,
    )
    rejected = InstructionsRejected(
        generation_id=id,
        generated_offset=number,
        rejections=(rejection,),
        generated=len(tasks),
        kept=KEPT,
        generated_total=(number + 1) * len(tasks),
        kept_total=(number + 1) * KEPT,
    )
    decision = Decision(
        offset=number, generation_id=id, lane="main", number=number, seed_ids=shown, generated=len(tasks), kept=kept
    )
    events = [*_calls(started, answered), (event, id, 0), *((row, row.id, row.cluster) for row in kept)]
    return _Generation(decision, [*events, (rejected, ids.verdict_id(number), 0)])


def _of_row(made: MadeRun, number: int, row: InstructionKept) -> Iterator[tuple[Event, str, int]]:
    """What comes after a row was kept: its answer and its judgement."""
    if made.answered:
        id = ids.answered_id(row.id)
        started, answered = _call(id, "answer/1-of-1", number, _OUTPUT)
        yield from _calls(started, answered)
        event = InstructionAnswered(
            row=msgspec.structs.replace(row, output=_OUTPUT.strip()),
            style="two-step",
            backend="openai",
            model="made",
            parameters={},
            answers=(answered,),
            unparsed=(),
            reason=None,
            cost_usd=answered.cost_usd,
            reading=READING,
        )
        yield event, id, row.cluster
    if made.judged:
        id = ids.judgement_id(row.id, _JUDGE.name)
        score = number % 11 / 2
        started, answered = _call(id, f"{JUDGE_LANE}/{_JUDGE.name}", number, f"{score:g}\nIt does what was asked for.")
        yield from _calls(started, answered)
        judged = InstructionJudged(
            kept_id=row.id,
            generated_offset=row.generated_offset,
            place=row.place,
            cluster=row.cluster,
            judge=_JUDGE,
            scale=SCALE,
            score=score,
            reason="It does what was asked for.",
            answers=(answered,),
            cost_usd=answered.cost_usd,
            reading=READING,
        )
        yield judged, id, 0


def _call(cause: str, lane: str, number: int, raw: str) -> tuple[CallStarted, CallAnswered]:
    request = ids.request_id(cause, 0)
    started = CallStarted(
        request_id=request,
        attempt=1,
        generation_id=cause,
        lane=lane,
        number=number,
        step=0,
        backend="openai",
        model="made",
    )
    usage = Usage(prompt_tokens=500, completion_tokens=len(raw) // 4)
    answered = CallAnswered(
        request_id=request,
        attempt=1,
        model="made",
        raw=raw,
        finish_reason="stop",
        usage=usage,
        cost_usd=0.001,
        latency_s=1.5,
    )
    return started, answered


def _calls(started: CallStarted, answered: CallAnswered) -> Iterator[tuple[Event, str, int]]:
    yield started, ids.child(started.request_id, "started/1"), 0
    yield answered, ids.call_answered_id(answered.request_id, 1), 0


def _window(writer: "_Encoder", policy: Policy, window: int, rows: list[InstructionKept], now: int) -> Iterator[Made]:
    """A training window with the worker's answer to it, which replaces nothing."""
    batches = [rows[at : at + policy.batch_size] for at in range(0, len(rows), policy.batch_size)]
    steps = tuple(
        StepLogged(
            step=window * _STEPS + place + 1,
            loss=1.5,
            loss_variance=0.1,
            grad_norm=1.0,
            learning_rate=1e-5,
            tokens=1_000,
            seconds=0.5,
            rows=tuple(
                BatchRow(id=row.id, slot=slot, cluster=row.cluster, generated_offset=row.generated_offset)
                for slot, row in enumerate(batch)
            ),
        )
        for place, batch in enumerate(batches)
    )
    id = ids.window_id(1, window)
    yield writer.of(TrainingLogged(window=window, epoch=1, model="made", steps=steps), id, now)
    command = ReplaceSeeds(
        window=window,
        epoch=1,
        training_offset=window,
        as_of_offset=rows[-1].generated_offset,
        outcome="no_candidates",
        metric=policy.metric,
    )
    yield writer.of(command, ids.command_id(window), now)


class _Encoder:
    """Encodes events as `schemas.envelope` does; only the first of a type is read back and compared, for speed."""

    def __init__(self, run: str) -> None:
        self._meta = (f"/sedi/{run}/made", "2026-01-01T00:00:00.000000Z", ids.run_id(run))
        self._headers: dict[type[Event], list[tuple[str, bytes]]] = {}
        self._json = msgspec.json.Encoder()

    def of(self, event: Event, id: str, timestamp_ms: int, key: str | None = None, partition: int = 0) -> Made:
        source, time, correlation = self._meta
        raw = (key or id).encode()
        if type(event) not in self._headers:
            meta = Meta(id, source, time, correlation_id=correlation)
            self._headers[type(event)] = encode(event, key or id, meta)[2]
        own = {"ce_id": id.encode(), "ce_subject": raw}
        headers = [(name, own.get(name, value)) for name, value in self._headers[type(event)]]
        return Made(spec_of(type(event)).topic, partition, timestamp_ms, raw, self._json.encode(event), headers)
