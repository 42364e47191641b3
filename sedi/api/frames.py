"""A run's log as polars data frames, each built in one reading of the topics that it needs.

What is on the log more than once is counted once, by the rules of the shared readers: `consumers.export.decided` for
rows and rejections (a row is here when it would be exported), `streams.core.ledger` for calls,
`consumers.folds.deduplicate` for training windows, `consumers.folds.run_fold` for seeds. So the frames' heights are the
numbers of `sedi report`. What the filter is not done with is in none of them.

A frame is built in parts of `_PART` rows, so while it grows memory holds little more than the frame.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from consumers.export.decided import DecidedGeneration, DecidedReading, extent
from consumers.folds.deduplicate import Deduplicator, records
from consumers.folds.read_fold import FoldFolder, read_fold
from infra.log.answers import TOPIC as ANSWERED
from infra.log.run import configuration
from infra.log.source import Source
from schemas.events import CallAnswered, CallFailed, CallStarted, ReplaceSeeds, TrainingLogged
from sedi.api.columns import CALLS, KEPT, KEPT_ANSWERED, REJECTED, SEEDS, TRAINING
from streams.core.ledger import Ledger
from streams.core.scores import SeedScore
from streams.core.seeds import PooledSeed, SeedPool

_PART = 10_000  # rows

Row = tuple[Any, ...]


def kept_frame(source: Source) -> pl.DataFrame:
    """A row for each kept instruction, in the run's order.

    In a run that answers kept instructions alone, with the input and output of its answer, the model of that, and why
    it is not used; all null while there is none.
    """
    if configuration(source)[0].policy.answer == "kept":
        return framed(KEPT_ANSWERED, (row for decided in _decided(source, ANSWERED) for row in _answered(decided)))
    return framed(KEPT, (row for decided in _decided(source) for row in _kept(decided)))


def rejected_frame(source: Source) -> pl.DataFrame:
    """A row for each rejected instruction, in the run's order."""
    return framed(REJECTED, (row for decided in _decided(source) for row in _rejected(decided)))


def seeds_frame(source: Source, snapshots: FoldFolder | None = None) -> pl.DataFrame:
    """A row for each seed that is or was in the pool: those in it now, in its order, then the replaced ones."""
    fold = read_fold(source, snapshots)
    successors = {
        (replacement.victim_id, command.offset): replacement.seed.id
        for command in fold.commands
        for replacement in command.event.replacements
    }
    pooled: list[tuple[PooledSeed, int | None]] = [(seed, None) for seed in fold.pool.active]
    pooled += [(gone.seed, gone.at) for gone in fold.pool.evicted.values()]

    def rows() -> Iterator[Row]:
        for seed, at in pooled:
            task, score = seed.task, fold.verdicts.scores.get(seed.task.id, SeedScore())
            successor = None if at is None else successors.get((task.id, at))
            numbers = fold.verdicts.shown[task.id], score.generated, score.kept, score.value
            texts = task.id, task.instruction, task.input, task.output
            yield (*texts, at is None, seed.since_offset, at, successor, *numbers)

    return framed(SEEDS, rows())


def calls_frame(source: Source) -> pl.DataFrame:
    """A row for each attempt at an LLM call, by lane, generation, step and attempt."""
    return framed(CALLS, _calls(source)).sort("lane", "number", "step", "request_id", "attempt", nulls_last=True)


def training_frame(source: Source) -> pl.DataFrame:
    """A row for each optimizer step, in order, with what the feedback made of its window."""
    configured, _ = configuration(source)
    deduplicator, pool = Deduplicator(), SeedPool.of(configured.seeds)
    answers: dict[tuple[int, int], ReplaceSeeds] = {}

    def rows() -> Iterator[Row]:
        with source.open(["training-log", "seed-commands"]) as reading:
            for record in records(reading, "seed-commands"):
                command = record.event
                if isinstance(command, ReplaceSeeds) and pool.apply(command, record.offset):
                    answers[command.epoch, command.window] = command
            for record in records(reading, "training-log"):
                window = record.event
                if isinstance(window, TrainingLogged) and deduplicator.first(window, record.id):
                    answer = answers.get((window.epoch, window.window))
                    yield from _steps(window, answer, configured.policy.clusters, record.timestamp_ms)

    return framed(TRAINING, rows()).sort("epoch", "window", "step")


def framed(schema: pl.Schema, rows: Iterable[Row]) -> pl.DataFrame:
    """The rows as a frame, built in parts."""
    part: list[Row] = []
    parts = [pl.DataFrame(schema=schema)]
    for row in rows:
        part.append(row)
        if len(part) == _PART:
            parts.append(pl.DataFrame(part, schema=schema, orient="row"))
            part = []
    if part:
        parts.append(pl.DataFrame(part, schema=schema, orient="row"))
    return pl.concat(parts)


def row_of(schema: pl.Schema, event: object, **own: Any) -> Row:
    """A row of a frame: fields of the event by the columns' names, and these columns."""
    return tuple(own[name] if name in own else getattr(event, name) for name in schema)


def _decided(source: Source, *further: str) -> Iterator[DecidedGeneration]:
    through = extent(source, None).through
    with source.open((*DecidedReading.topics, *further)) as reading:
        yield from DecidedReading(reading, through)


def _kept(decided: DecidedGeneration) -> Iterator[Row]:
    for row in decided.rows:
        task = row.id, row.instruction, row.input, row.output
        yield (*task, row.cluster, row.classifier_offset, *_generation(decided, row.place))


def _answered(decided: DecidedGeneration) -> Iterator[Row]:
    for row in decided.rows:
        answer = decided.answers.get(row.id)
        task = (None, None) if answer is None else (answer.row.input, answer.row.output)
        found = (None, None) if answer is None else (answer.model, answer.reason)
        place = row.cluster, row.classifier_offset, *_generation(decided, row.place)
        yield (row.id, row.instruction, *task, *place, *found)


def _rejected(decided: DecidedGeneration) -> Iterator[Row]:
    for one in decided.verdict.rejections:
        task: Row = (None, None, None)
        if decided.generation is not None and one.place < len(decided.generation.instructions):
            written = decided.generation.instructions[one.place]
            task = written.instruction, written.input, written.output
        reason = one.reason, one.similarity, one.nearest_id, one.threshold
        yield (one.id, *task, *reason, *_generation(decided, one.place))


def _generation(decided: DecidedGeneration, place: int) -> Row:
    verdict, event = decided.verdict, decided.generation
    at = verdict.generation_id, verdict.generated_offset, place
    if event is None:
        return (*at, None, None, None, None)
    return (*at, event.lane, event.number, event.model, event.seed_ids)


def _calls(source: Source) -> Iterator[Row]:
    """Attempts as they end; then those without an outcome, which are lost if their request went on without them."""
    ledger = Ledger()
    started: dict[tuple[str, int], tuple[CallStarted, int]] = {}
    early: dict[tuple[str, int], tuple[CallAnswered | CallFailed, int]] = {}  # outcomes seen before their start
    latest: dict[str, int] = {}
    answered: set[str] = set()
    with source.open(["calls"]) as reading:
        for record in records(reading, "calls"):
            event = record.event
            if event is None or not ledger.apply(event, record.id):
                continue
            if isinstance(event, CallStarted):
                key = event.request_id, event.attempt
                latest[event.request_id] = max(latest.get(event.request_id, 0), event.attempt)
                if key in early:
                    yield _ended(*early.pop(key), event, record.timestamp_ms)
                else:
                    started[key] = event, record.timestamp_ms
            elif isinstance(event, CallAnswered | CallFailed):
                key = event.request_id, event.attempt
                if isinstance(event, CallAnswered):
                    answered.add(event.request_id)
                if key in started:
                    yield _ended(event, record.timestamp_ms, *started.pop(key))
                else:
                    early[key] = event, record.timestamp_ms
    for event, at in early.values():
        yield _ended(event, at, None, None)
    for (request, attempt), (start, at) in started.items():
        lost = request in answered or attempt < latest[request]
        yield (request, attempt, "lost" if lost else "open", *_asked(start), at, *(None,) * 11)


def _ended(event: CallAnswered | CallFailed, at: int, start: CallStarted | None, began: int | None) -> Row:
    usage = event.usage
    tokens: Row = (None,) * 3
    if usage is not None:
        tokens = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
    place = event.request_id, event.attempt
    if isinstance(event, CallAnswered):
        end: Row = (at, event.latency_s, *tokens, event.cost_usd, event.finish_reason, None, None, None, None)
        return (*place, "answered", *_asked(start), began, *end)
    end = (at, None, *tokens, event.cost_usd, None, event.error, event.status, event.retry, event.perhaps_paid)
    return (*place, "failed", *_asked(start), began, *end)


def _asked(start: CallStarted | None) -> Row:
    if start is None:
        return (None,) * 6
    return start.generation_id, start.lane, start.number, start.step, start.backend, start.model


def _steps(window: TrainingLogged, answer: ReplaceSeeds | None, clusters: int, at: int) -> Iterator[Row]:
    for step in window.steps:
        chosen = None if answer is None else answer.step == step.step
        replaced = None if answer is None else len(answer.replacements) if chosen else 0
        yield row_of(
            TRAINING,
            step,
            epoch=window.epoch,
            window=window.window,
            row_ids=tuple(row.id for row in step.rows),
            borrowed=sum(row.is_borrowed(clusters) for row in step.rows),
            outcome=None if answer is None else answer.outcome,
            chosen=chosen,
            replaced=replaced,
            model=window.model,
            time=at,
        )
