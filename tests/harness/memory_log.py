"""A run's log in memory: topics with partitions, records as bytes with offsets and timestamps; a `Source`.

Events are encoded and decoded as on a cluster. The clock only moves when a test moves it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from infra.log.record import Partition, Record
from infra.log.source import TOPICS, dead_letter_topics
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import RunError
from schemas.events import ClassifierFitted, Event, RunConfigured
from schemas.registry import spec_of

EPOCH = "2026-01-01T00:00:00Z"


class Clock:
    """Seconds since the start of the test."""

    def __init__(self) -> None:
        self.now = 0.0

    @property
    def ms(self) -> int:
        return round(self.now * 1000)


class MemoryLog:
    """The topics of one run, with its configuration on it. A `Source`."""

    def __init__(self, configured: RunConfigured, classifier: ClassifierFitted, clock: Clock | None = None) -> None:
        self.run = configured.run
        self.name = f"run {self.run!r} in memory"
        self.clock = clock or Clock()
        clusters = configured.policy.clusters
        self._partitions: dict[Partition, list[Record]] = {
            (topic, partition): []
            for topic in (*TOPICS, *dead_letter_topics())
            for partition in range(clusters if topic in ("kept", "answered") else 1)
        }
        self.write(configured, key=self.run, id=ids.run_id(self.run))
        self.write(classifier, key=self.run, id=ids.classifier_id(classifier.from_offset))

    def write(self, event: Event, *, key: str, id: str, causation_id: str | None = None, partition: int = 0) -> Record:
        """Write an event as a `LogWriter` does."""
        raw_key, value, headers = encode(event, key, Meta(id, f"/sedi/{self.run}/test", EPOCH, causation_id))
        return self.append(spec_of(type(event)).topic, partition, raw_key, value, headers)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> Record:
        """Write arbitrary bytes."""
        records = self._partitions[topic, partition]
        record = Record(topic, partition, len(records), self.clock.ms, key, value, headers)
        records.append(record)
        return record

    def records(self, topic: str, partition: int = 0) -> list[Record]:
        """All records of a partition; the list grows with it."""
        return self._partitions[topic, partition]

    def all_records(self, topic: str) -> Iterator[Record]:
        """The records of a topic, one partition after the other."""
        return (record for place, records in self._partitions.items() if place[0] == topic for record in records)

    def open(self, topics: Iterable[str]) -> "MemoryReading":
        wanted = tuple(topics)
        known = {topic for topic, _ in self._partitions}
        for topic in wanted:
            if topic not in known:
                raise RunError(f"The log in memory has no topic {topic}.")
        return MemoryReading({place: tuple(all_) for place, all_ in self._partitions.items() if place[0] in wanted})


class MemoryReading:
    """A reading of the records that existed when it was opened."""

    def __init__(self, covered: Mapping[Partition, tuple[Record, ...]]) -> None:
        self._covered = covered
        self._next = dict.fromkeys(covered, 0)

    def starts(self) -> Mapping[Partition, int]:
        return dict.fromkeys(self._covered, 0)

    def ends(self) -> Mapping[Partition, int]:
        return {place: len(records) for place, records in self._covered.items()}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._next[topic, partition] = offset

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        at = self._next[place]
        if at >= len(self._covered[place]):
            return None
        self._next[place] = at + 1
        # A new object, so each reader decodes for itself.
        found = self._covered[place][at]
        return Record(topic, partition, at, found.timestamp_ms, found.key, found.value, found.headers)

    def rest(self) -> Iterator[Record]:
        for place in self._covered:
            while (record := self.next(*place)) is not None:
                yield record

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing is open."""
