"""Which questions, answers, judgements and models of an evaluation a text names.

An event is named by its id, or by the request of a call in it; a model by its name, its key (`EvaluatedModel.key`), or
the run and step that it was trained with, `demo@300`.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from consumers.explain.history import TopicRecords
from infra.log.record import Record
from schemas.evaluation import AnswerGiven, AnswersJudged, EvaluatedModel, QuestionMeasured

EvaluationKind = Literal["question", "answer", "judgement", "model"]
TOPICS = ("measured", "answers", "judgements")

Offer = Callable[[EvaluationKind, str, str], None]
"""Takes a kind, a text that names it, and its own id or key."""


def offer_events(read: TopicRecords, holds: Callable[[Record], bool], offer: Offer) -> None:
    """Offer the events of records that hold the wanted text, by their ids and requests; and all models."""
    models: set[str] = set()
    for topic in TOPICS:
        for record in read(topic):
            event = record.event
            if isinstance(event, QuestionMeasured | AnswerGiven) and event.model.key not in models:
                models.add(event.model.key)
                for name in names_of(event.model):
                    offer("model", name, event.model.key)
            if holds(record):
                _offer_event(record, offer)


def _offer_event(record: Record, offer: Offer) -> None:
    match record.event:
        case QuestionMeasured():
            offer("question", record.id, record.id)
        case AnswerGiven(answers=answers):
            for name in (record.id, *(answer.request_id for answer in answers)):
                offer("answer", name, record.id)
        case AnswersJudged(answers=answers):
            for name in (record.id, *(answer.request_id for answer in answers)):
                offer("judgement", name, record.id)
        case _:
            pass


def names_of(model: EvaluatedModel) -> Iterator[str]:
    """The texts that name a model."""
    yield model.key
    yield model.name
    if model.trained is not None:
        yield f"{model.name}@{model.trained.step}"
        yield f"{model.trained.run}@{model.trained.step}"
