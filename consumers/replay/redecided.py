"""Events of an evaluation, decided again from what they hold; and a log on which all of them are.

A choice follows from log-likelihoods, an answer's text and a judge's scores from raw answers. So aggregates that are
computed from `RedecidedSource` rest on nothing that was decided before.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from consumers.folds.deduplicate import Found
from infra.log.record import Partition, Record
from infra.log.source import Reading, Source
from schemas.envelope import encode
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import CallAnswered
from streams.core.evaluation.given import read_answer
from streams.core.evaluation.likelihood import chosen
from streams.core.evaluation.pair_scores import ReadScores, scores_of


def redecided(event: Found) -> Found:
    """The event with its verdict decided again; the same one where that rests on nothing that the event holds.

    Raises ValueError for a question whose choices and log-likelihoods do not agree in number, or without any.
    """
    match event:
        case QuestionMeasured():
            first, first_per_character = chosen(event.loglikelihoods, event.choices)
            return replace(event, chosen=first, chosen_per_character=first_per_character)
        case AnswerGiven(answers=answers) if answers:
            outcome, text, reason = read_answer(answers, event.reading)
            return replace(event, outcome=outcome, text=text, reason=reason)
        case AnswersJudged(answers=answers) if answers:
            scores, reason = scores_in(answers[-1], event)
            return event if scores is None is event.scores else replace(event, scores=scores, reason=reason)
        case _:
            return event


def scores_in(answer: CallAnswered, event: AnswersJudged) -> ReadScores:
    """The scores in an answer of the judge."""
    return scores_of(answer, event.scale, len(event.answer_ids), reading=event.reading)


class RedecidedSource:
    """A run's log with every event of an evaluation decided again; an unreadable one stays as it is."""

    def __init__(self, source: Source) -> None:
        self.run = source.run
        self.name = source.name
        self._source = source

    @contextmanager
    def open(self, topics: Iterable[str]) -> Iterator["RedecidedReading"]:
        with self._source.open(topics) as reading:
            yield RedecidedReading(reading)


class RedecidedReading:
    """A reading of a `RedecidedSource`."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def starts(self) -> Mapping[Partition, int]:
        return self._reading.starts()

    def ends(self) -> Mapping[Partition, int]:
        return self._reading.ends()

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._reading.seek(topic, partition, offset)

    def next(self, topic: str, partition: int) -> Record | None:
        record = self._reading.next(topic, partition)
        return None if record is None else _again(record)

    def rest(self) -> Iterator[Record]:
        return map(_again, self._reading.rest())


def _again(record: Record) -> Record:
    decoded = record.decoded
    if decoded is None or not isinstance(decoded.event, QuestionMeasured | AnswerGiven | AnswersJudged):
        return record
    try:
        event = redecided(decoded.event)
    except ValueError:
        return record
    if event == decoded.event:
        return record
    key, value, headers = encode(event, decoded.key, decoded.meta)
    return Record(record.topic, record.partition, record.offset, record.timestamp_ms, key, value, headers)
