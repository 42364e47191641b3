"""Which events of a topic count: of equal ones the first. One rule a topic, used by every reader.

A crash can leave an event on the log more than once. `identity` says which events are the same one. Of `calls`,
`judged` and `seed-commands` the folds that apply the rule are in `streams.core` (`ledger`, `judging`, `seeds`).

`Deduplicator` remembers as little as the order of a topic allows, so its memory hardly grows with the run: `kept` and
`rejected` ascend within a partition, so the last cause is enough, and of `generated` the numbers of a lane are ranges.
An audit also asks whether a repeat has the same content as the first (`consumers.replay.repeats`).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from infra.log.record import Record
from infra.log.source import Reading
from schemas import events
from schemas.documents import DocumentWithdrawn
from streams.core.lanes import LaneNumbers

Found = TypeVar("Found", bound=events.Event)

ReadProgress = Callable[[int], None]
"""Called now and then with how many more records were read."""

_PROGRESS_EVERY = 500


def no_progress(_: int) -> None:
    pass


_IDENTITY: Mapping[type[events.Event], Callable[[Any], Any]] = {
    events.CallStarted: attrgetter("request_id", "attempt"),
    events.CallAnswered: attrgetter("request_id", "attempt"),
    events.CallFailed: attrgetter("request_id", "attempt"),
    events.InstructionsGenerated: attrgetter("lane", "number"),
    events.InstructionKept: attrgetter("generated_offset", "place"),
    events.InstructionsRejected: attrgetter("generated_offset"),
    events.InstructionAnswered: attrgetter("row.id"),
    events.InstructionJudged: attrgetter("judge.name", "kept_id"),
    events.TrainingLogged: attrgetter("epoch", "window"),
    events.ReplaceSeeds: attrgetter("epoch", "window"),
    events.ClassifierFitted: attrgetter("from_offset"),
    events.InstructionsReleased: attrgetter("from_offset"),
    events.RunConfigured: lambda _: None,
    DocumentWithdrawn: attrgetter("document_id"),
}


def identity(event: events.Event, id: str) -> tuple[str, Hashable]:
    """What an event shares with its repeats and with nothing else; `id` is its CloudEvents id."""
    key = _IDENTITY.get(type(event))
    return type(event).__name__, id if key is None else key(event)


@dataclass
class Deduplicator:
    """Which events count. Records of one partition come in offset order.

    `generated` also leaves out what the filter could not read, for ever. Where `rejected` is read before it, that is
    known; else `release` gives the number back once it is.

    decided_offset   last record of `generated` that the filter has decided, -1 for none
    unread           records of `generated` that the filter could not read
    """

    decided_offset: int = -1
    unread: set[int] = field(default_factory=set)
    _lanes: LaneNumbers = field(default_factory=LaneNumbers)
    _released: set[tuple[str, int]] = field(default_factory=set)
    _kept: dict[int, tuple[int, int]] = field(default_factory=dict)
    _seen: set[tuple[str, Hashable]] = field(default_factory=set)

    def generated(self, event: events.InstructionsGenerated, offset: int) -> bool:
        if offset in self.unread:
            return False
        number = event.lane, event.number
        if number in self._released:
            self._released.remove(number)
            return True
        return self._lanes.take(*number)

    def release(self, lane: str, number: int) -> None:
        """Let the next record with this number count: the one that did could not be read by the filter."""
        self._released.add((lane, number))

    def kept(self, generated_offset: int, place: int, partition: int) -> bool:
        key = generated_offset, place
        if key <= self._kept.get(partition, (-1, -1)):
            return False
        self._kept[partition] = key
        return True

    def rejected(self, event: events.InstructionsRejected) -> bool:
        if event.generated_offset <= self.decided_offset:
            return False
        self.decided_offset = event.generated_offset
        if not event.generation_id:
            self.unread.add(event.generated_offset)
        return True

    def first(self, event: events.Event, id: str) -> bool:
        """Whether an event comes for the first time; for topics without an order of causes."""
        key = identity(event, id)
        fresh = key not in self._seen
        self._seen.add(key)
        return fresh


def first_events(
    found: Iterable[Record], kind: type[Found], seen: Deduplicator | None = None
) -> Iterator[tuple[Record, Found]]:
    """The events of one type with their records, each event once; for topics without an order of causes."""
    seen = seen or Deduplicator()
    for record in found:
        event = record.event
        if isinstance(event, kind) and seen.first(event, record.id):
            yield record, event


def records(
    reading: Reading,
    topic: str,
    progress: ReadProgress = no_progress,
    is_past: Callable[[Record], bool] = lambda record: False,
) -> Iterator[Record]:
    """The rest of a topic, one partition after the other; of each, up to the first record that `is_past`, with it."""
    read = 0
    for name, partition in sorted(reading.ends()):
        if name != topic:
            continue
        while (record := reading.next(topic, partition)) is not None:
            yield record
            read += 1
            if read % _PROGRESS_EVERY == 0:
                progress(_PROGRESS_EVERY)
            if is_past(record):
                break
    progress(read % _PROGRESS_EVERY)
