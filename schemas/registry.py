"""The event types, with their current versions and topics."""

from dataclasses import dataclass, field

import msgspec

from schemas import batches, documents, evaluation, events
from schemas.events import Event


@dataclass(frozen=True)
class EventSpec:
    """One event type: its name, the version that is written, its class and its topic."""

    name: str
    version: int
    cls: type[Event]
    topic: str
    decoder: msgspec.json.Decoder[Event] = field(repr=False, compare=False)


def _spec(cls: type[Event], topic: str, version: int = 1) -> EventSpec:
    return EventSpec(cls.__name__, version, cls, topic, msgspec.json.Decoder(cls))


_ALL = (
    _spec(events.RunConfigured, "run", 4),
    _spec(events.ClassifierFitted, "run", 2),
    _spec(events.InstructionsReleased, "run"),
    _spec(events.RunStarted, "run"),
    _spec(events.RunStopped, "run"),
    _spec(events.GenerationHalted, "run"),
    _spec(events.CallStarted, "calls", 3),
    _spec(events.CallAnswered, "calls", 2),
    _spec(events.CallFailed, "calls", 2),
    _spec(batches.BatchPrepared, "calls"),
    _spec(batches.BatchUploaded, "calls"),
    _spec(batches.BatchSubmitted, "calls"),
    _spec(batches.BatchEnded, "calls"),
    _spec(documents.DocumentRead, "documents"),
    _spec(documents.DocumentWithdrawn, "documents"),
    _spec(events.InstructionsGenerated, "generated", 4),
    _spec(events.InstructionKept, "kept"),
    _spec(events.InstructionsRejected, "rejected"),
    _spec(events.InstructionAnswered, "answered"),
    _spec(events.InstructionJudged, "judged", 2),
    _spec(evaluation.AnswerGiven, "answers"),
    _spec(evaluation.AnswersJudged, "judgements"),
    _spec(evaluation.QuestionMeasured, "measured"),
    _spec(events.TrainingLogged, "training-log", 3),
    _spec(events.ReplaceSeeds, "seed-commands", 2),
)

SPECS: dict[str, EventSpec] = {spec.name: spec for spec in _ALL}
_BY_CLASS: dict[type[Event], EventSpec] = {spec.cls: spec for spec in _ALL}


def spec_of(cls: type[Event]) -> EventSpec:
    """The spec of an event class; KeyError if it is not registered."""
    return _BY_CLASS[cls]
