"""The story of a measured question, of an answer to a prompt, and of a judgement of answers."""

from collections.abc import Iterator
from functools import partial

from consumers.explain.evidence import calls_of
from consumers.explain.generation_story import requests_from
from consumers.explain.history import TopicRecords
from consumers.explain.schema.evaluation import (
    AnswersJudgedStory,
    JudgedAnswer,
    JudgementSummary,
    PromptAnswerStory,
    QuestionStory,
)
from consumers.explain.schema.place import RecordPlace, place_of
from consumers.folds.deduplicate import Found, ReadProgress, first_events, no_progress, records
from infra.log.record import Record
from infra.log.source import Source
from schemas.errors import RunError
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured

_TOPICS = {QuestionMeasured: "measured", AnswerGiven: "answers", AnswersJudged: "judgements"}


def question_of(source: Source, id: str, progress: ReadProgress = no_progress) -> QuestionStory:
    """The question that was measured under this id."""
    with source.open(["measured"]) as reading:
        record, event = _first(QuestionMeasured, id, partial(records, reading, progress=progress))
    gold = event.gold
    return QuestionStory(
        id=id,
        at=place_of(record),
        right=None if gold is None else event.chosen == gold,
        right_per_character=None if gold is None else event.chosen_per_character == gold,
        event=event,
    )


def answer_of(source: Source, id: str, progress: ReadProgress = no_progress) -> PromptAnswerStory:
    """The answer that was given under this id, with its calls and judgements."""
    with source.open(["calls", "answers", "judgements"]) as reading:
        read = partial(records, reading, progress=progress)
        record, event = _first(AnswerGiven, id, read)
        return PromptAnswerStory(
            id=id,
            at=place_of(record),
            event=event,
            judgements=tuple(summary_of(at, judged) for at, judged in _judgements(id, read)),
            requests=requests_from(calls_of(id, read)),
        )


def judgement_of(source: Source, id: str, progress: ReadProgress = no_progress) -> AnswersJudgedStory:
    """The judgement under this id, with the answers that were judged and its calls."""
    with source.open(["judgements"]) as reading:
        record, event = _first(AnswersJudged, id, partial(records, reading, progress=progress))
    with source.open(["calls", "answers", "judgements"]) as reading:
        read = partial(records, reading, progress=progress)
        given: dict[str, tuple[RecordPlace, AnswerGiven]] = {}
        for other in read("answers"):
            if other.id in event.answer_ids and isinstance(other.event, AnswerGiven):
                given.setdefault(other.id, (place_of(other), other.event))
        others = [
            summary_of(found, judged)
            for answer_id in event.answer_ids[:1]
            for found, judged in _judgements(answer_id, read)
            if found.id != id and set(judged.answer_ids) == set(event.answer_ids)
        ]
        requests = requests_from(calls_of(id, read))
    return AnswersJudgedStory(
        id=id,
        at=place_of(record),
        event=event,
        answers=tuple(_shown(event, place, given) for place in range(len(event.answer_ids))),
        requests=requests,
        others=tuple(others),
    )


def summary_of(record: Record, event: AnswersJudged) -> JudgementSummary:
    return JudgementSummary(
        id=record.id, at=place_of(record), judge=event.judge.name, models=event.models, scores=event.scores
    )


def _shown(event: AnswersJudged, place: int, given: dict[str, tuple[RecordPlace, AnswerGiven]]) -> JudgedAnswer:
    id = event.answer_ids[place]
    at, answer = given.get(id, (None, None))
    return JudgedAnswer(
        id=id,
        model=event.models[place] if place < len(event.models) else "",
        score=event.scores[place] if event.scores is not None and place < len(event.scores) else None,
        at=at,
        outcome=None if answer is None else answer.outcome,
        text=None if answer is None else answer.text,
    )


def _first(kind: type[Found], id: str, read: TopicRecords) -> tuple[Record, Found]:
    """The first event with this id. Raises RunError when it is not there any more."""
    for record in read(_TOPICS[kind]):
        event = record.event if ("ce_id", id.encode()) in record.headers else None
        if isinstance(event, kind):
            return record, event
    raise RunError(f"{kind.__name__} {id} is not on the log any more: it changed while it was read. Try again.")


def _judgements(answer_id: str, read: TopicRecords) -> Iterator[tuple[Record, AnswersJudged]]:
    """Judgements of an answer."""
    wanted = answer_id.encode()
    naming = (record for record in read("judgements") if wanted in (record.value or b""))
    for record, event in first_events(naming, AnswersJudged):
        if answer_id in event.answer_ids:
            yield record, event
