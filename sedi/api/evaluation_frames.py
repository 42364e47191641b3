"""An evaluation as polars data frames: questions, answers and judgements, each in the order of the log and once."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from consumers.folds.deduplicate import Found, first_events, records
from infra.log.record import Record
from infra.log.source import Source
from schemas.evaluation import AnswerGiven, AnswersJudged, EvaluatedModel, QuestionMeasured
from sedi.api.columns import ANSWERS, JUDGEMENTS, MEASURED
from sedi.api.frames import Row, framed, row_of


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
    with source.open([topic]) as reading:
        for record, event in first_events(records(reading, topic), kind):
            yield row(record, event)


def _measured(record: Record, event: QuestionMeasured) -> Row:
    gold, benchmark = event.gold, event.benchmark
    return row_of(
        MEASURED,
        event,
        id=record.id,
        **_model(event.model),
        benchmark=benchmark.name,
        version=benchmark.version,
        shots=benchmark.shots,
        data_sha256=benchmark.data_sha256,
        form=benchmark.form,
        right=None if gold is None else event.chosen == gold,
        right_per_character=None if gold is None else event.chosen_per_character == gold,
        time=record.timestamp_ms,
    )


def _given(record: Record, event: AnswerGiven) -> Row:
    asked = event.asked
    return row_of(
        ANSWERS,
        event,
        id=record.id,
        **_model(event.model),
        set=asked.prompts,
        asked=asked.key,
        system=asked.system,
        shots=asked.shots,
        template=asked.template,
        time=record.timestamp_ms,
    )


def _judged(record: Record, event: AnswersJudged) -> Row:
    own = {"judge": event.judge.name, "set": event.prompts, "requests": len(event.answers)}
    return row_of(JUDGEMENTS, event, id=record.id, time=record.timestamp_ms, **own)


def _model(model: EvaluatedModel) -> dict[str, Any]:
    trained = model.trained
    run, step = (None, None) if trained is None else (trained.run, trained.step)
    return {"model": model.name, "model_key": model.key, "trained_run": run, "trained_step": step}
