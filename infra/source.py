"""Where a run's log is read from: a cluster, or an archive of it (`infra.archive`). Reading changes nothing.

A `Source` opens a `Reading` of some topics. What a reading covers is fixed when it is opened: effects first and causes
last, so that of a run that goes on meanwhile every effect is covered together with its cause. A reading gives each
partition's records in offset order, one partition as far ahead of the others as its caller asks, in bounded memory.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from infra.log import LogReader
from infra.record import Partition, Record
from infra.settings import Settings
from schemas.errors import BrokerError
from schemas.topics import dead_letter_name, topic_specs

TOPICS = ("run", "calls", "generated", "kept", "rejected", "training-log", "seed-commands")
"""A run's topics, causes before effects."""

_AHEAD = 1_000  # records of a partition that wait for their turn before its fetching is paused
_STALL_S = 30.0


class Reading(Protocol):
    """An open reading of a run; not safe for several threads."""

    def starts(self) -> Mapping[Partition, int]:
        """The first offset that each partition still has."""
        ...

    def ends(self) -> Mapping[Partition, int]:
        """The offset after the last that is covered, of each partition."""
        ...

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from `offset` in this partition. Only before anything was read from it."""
        ...

    def next(self, topic: str, partition: int) -> Record | None:
        """The partition's next record; None when all that is covered was given."""
        ...

    def rest(self) -> Iterator[Record]:
        """All that was not given yet: each partition in order, topics in any order against each other."""
        ...


class Source(Protocol):
    """A run's log."""

    @property
    def run(self) -> str: ...

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    def open(self, topics: Iterable[str]) -> AbstractContextManager[Reading]:
        """Read these topics (short names). Raises RunError when one is not there."""
        ...


class KafkaSource:
    """A run on a cluster."""

    def __init__(self, settings: Settings, run: str) -> None:
        self.run = run
        self.name = f"run {run!r} on {settings.bootstrap_servers}"
        self._settings = settings

    def open(self, topics: Iterable[str]) -> "KafkaReading":
        return KafkaReading(self._settings, self.run, topics)


class KafkaReading:
    """One consumer, without a group, whose partitions are paused while their records wait to be asked for."""

    def __init__(self, settings: Settings, run: str, topics: Iterable[str]) -> None:
        wanted = tuple(topics)
        self._reader = LogReader(settings, run, wanted, "reading")
        try:
            self._starts = self._reader.starts()
            self._ends: dict[Partition, int] = {}
            # One question a topic, effects first: what is written in between is covered with what caused it.
            for topic in sorted(wanted, key=_effects_first):
                self._ends |= self._reader.ends([topic])
        except BaseException:
            self._reader.close()
            raise
        self._next = dict(self._starts)
        self._waiting: dict[Partition, deque[Record]] = {partition: deque() for partition in self._ends}
        self._paused: set[Partition] = set()

    def starts(self) -> Mapping[Partition, int]:
        return self._starts

    def ends(self) -> Mapping[Partition, int]:
        return self._ends

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._reader.seek(topic, partition, offset)
        self._next[topic, partition] = offset

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        waiting = self._waiting[place]
        if not waiting:
            if self._next[place] >= self._ends[place]:
                return None
            self._fetch(place)
            if not waiting:
                return None
        record = waiting.popleft()
        self._next[place] = record.offset + 1
        return record

    def rest(self) -> Iterator[Record]:
        for place in self._ends:
            while (record := self.next(*place)) is not None:
                yield record

    def _fetch(self, place: Partition) -> None:
        """Poll until the partition has a record waiting, or is known to have none left before its end.

        Raises BrokerError when nothing comes for a while.
        """
        if place in self._paused:
            self._paused.discard(place)
            self._reader.resume([place])
        since = time.monotonic()
        while not self._waiting[place] and self._reader.position(*place) < self._ends[place]:
            records = self._reader.poll()
            for record in records:
                if record.offset < self._ends[record.place]:
                    self._waiting[record.place].append(record)
            self._pause()
            if records:
                since = time.monotonic()
            elif time.monotonic() - since > _STALL_S:
                raise BrokerError(
                    f"Reading {place[0]}/{place[1]} got nothing for {_STALL_S:.0f} s. See `sedi broker status`."
                )

    def _pause(self) -> None:
        """Stop fetching where enough waits, and where the end is reached."""
        full = [
            place
            for place, waiting in self._waiting.items()
            if place not in self._paused
            and (len(waiting) > _AHEAD or (waiting and waiting[-1].offset >= self._ends[place] - 1))
        ]
        if full:
            self._paused.update(full)
            self._reader.pause(full)

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def dead_letter_topics() -> tuple[str, ...]:
    """Short names of the dead-letter topics of a run."""
    return tuple(dead_letter_name(spec.name) for spec in topic_specs() if spec.dead_letters)


def _effects_first(topic: str) -> int:
    return -TOPICS.index(topic) if topic in TOPICS else -len(TOPICS)  # dead letters are effects of what they were
