"""An evaluation as polars data frames: questions, answers and judgements, each in the order of the log and once."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import polars as pl

from consumers.folds.deduplicate import Deduplicator, records
from infra.log.record import Record
from infra.log.source import Source
from schemas.evaluation import AnswerGiven, AnswersJudged, EvaluatedModel, QuestionMeasured
from schemas.events import Event
from sedi.api.columns import ANSWERS, JUDGEMENTS, MEASURED
from sedi.api.frames import Row, framed

Found = TypeVar("Found", bound=Event)


def measured_frame(source: Source) -> pl.DataFrame:
    """A row for each measured question."""
    return framed(MEASURED, _rows(source, "measured", QuestionMeasured, _measured))


def answers_frame(source: Source) -> pl.DataFrame:
    """A row for each answer."""
    return framed(ANSWERS, _rows(source, "answers", AnswerGiven, _given))


def judgements_frame(source: Source) -> pl.DataFrame:
    """A row for each judgement."""
    return framed(JUDGEMENTS, _rows(source, "judgements", AnswersJudged, _judged))


def _rows(source: Source, topic: str, kind: type[Found], row: Callable[[Record, Found], Row]) -> Iterator[Row]:
    deduplicator = Deduplicator()
    with source.open([topic]) as reading:
        for record in records(reading, topic):
            event = record.event
            if isinstance(event, kind) and deduplicator.first(event, record.id):
                yield row(record, event)


def _measured(record: Record, event: QuestionMeasured) -> Row:
    gold, benchmark = event.gold, event.benchmark
    right = (None, None) if gold is None else (event.chosen == gold, event.chosen_per_character == gold)
    return (
        record.id,
        *_model(event.model),
        benchmark.name,
        benchmark.version,
        benchmark.shots,
        benchmark.data_sha256,
        benchmark.form,
        event.question_id,
        event.group,
        event.group_size,
        event.sample,
        event.question,
        event.choices,
        event.loglikelihoods,
        event.tokens,
        gold,
        event.chosen,
        event.chosen_per_character,
        *right,
        event.engine,
        event.precision,
        record.timestamp_ms,
    )


def _given(record: Record, event: AnswerGiven) -> Row:
    asked = event.asked
    return (
        record.id,
        *_model(event.model),
        asked.prompts,
        asked.key,
        asked.system,
        asked.shots,
        asked.template,
        event.prompt_id,
        event.group,
        event.instruction,
        event.input,
        event.references,
        event.outcome,
        event.text,
        event.reason,
        event.cost_usd,
        record.timestamp_ms,
    )


def _judged(record: Record, event: AnswersJudged) -> Row:
    shown = event.answer_ids, event.models, event.scores
    of = event.judge.name, event.prompts, event.prompt_id, event.group
    return (record.id, *of, *shown, event.reason, len(event.answers), event.cost_usd, record.timestamp_ms)


def _model(model: EvaluatedModel) -> Row:
    trained = model.trained
    return (model.name, model.key, *((None, None) if trained is None else (trained.run, trained.step)))
