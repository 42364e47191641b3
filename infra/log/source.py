"""Where a run's log is read from: a cluster, or an archive of it (`infra.log.archive`). Reading changes nothing.

A `Source` opens a `Reading` of some topics. What a reading covers is fixed when it is opened: effects first and causes
last, so that of a run that goes on meanwhile every effect is covered together with its cause. A reading gives each
partition's records in offset order, one partition as far ahead of the others as its caller asks, in bounded memory.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.cluster.clients import cluster_error
from infra.cluster.connection import async_connection
from infra.cluster.refusals import Right, look
from infra.log.reader import LogReader
from infra.log.record import Partition, Record
from infra.settings import Settings
from schemas.errors import BrokerError
from schemas.topics import dead_letter_name, lacking, topic_name, topic_specs

TOPICS = ("run", "calls", "generated", "kept", "rejected", "judged", "training-log", "seed-commands")
"""A run's topics, causes before effects."""

_AT_ONCE = 1_000  # records of a partition that are taken from the client at a time
_FETCH_BYTES = 1024 * 1024  # of a partition at a time; a larger record comes all the same, alone
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
        """Read these topics (short names).

        One that a run may lack (`schemas.topics`) is read as empty where it is not there. Raises RunError when another
        is not there.
        """
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
    """aiokafka's consumer, without a group, on an event loop that runs only while a record is asked for.

    It parses records in C, three times as fast as kafka-python, and gives one partition's without holding up others.
    """

    def __init__(self, settings: Settings, run: str, topics: Iterable[str]) -> None:
        wanted = tuple(topics)
        with LogReader(settings, run, wanted, "reading") as reader:
            self._starts = reader.starts()
            self._ends: dict[Partition, int] = {}
            # One question a topic, effects first: what is written in between is covered with what caused it.
            for topic in sorted(wanted, key=_effects_first):
                self._ends |= reader.ends([topic])
        for topic in lacking(wanted, (topic for topic, _ in self._ends)):
            self._starts[topic, 0] = self._ends[topic, 0] = 0
        self._settings = settings
        self._run = run
        self._next = dict(self._starts)
        self._waiting: dict[Partition, deque[Record]] = {partition: deque() for partition in self._ends}
        self._loop = asyncio.new_event_loop()
        self._consumer: Any = None
        try:
            self._loop.run_until_complete(self._connect(settings))
        except KafkaError as error:
            self.close()
            raise cluster_error(settings, error) from error
        except BaseException:
            self.close()
            raise

    async def _connect(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            **async_connection(settings, f"sedi-{self._run}-reading"),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=100,
        )
        await self._consumer.start()
        partitions = {place: self._partition(place) for place in self._ends if self._ends[place] > self._starts[place]}
        self._consumer.assign(list(partitions.values()))
        for place, partition in partitions.items():
            self._consumer.seek(partition, self._starts[place])

    def starts(self) -> Mapping[Partition, int]:
        return self._starts

    def ends(self) -> Mapping[Partition, int]:
        return self._ends

    def seek(self, topic: str, partition: int, offset: int) -> None:
        place = topic, partition
        self._next[place] = offset
        if self._starts[place] <= offset < self._ends[place]:
            self._consumer.seek(self._partition(place), offset)

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        waiting = self._waiting[place]
        if not waiting:
            if self._next[place] >= self._ends[place]:
                return None
            self._loop.run_until_complete(self._fetch(place))
            if not waiting:
                self._next[place] = self._ends[place]  # no record stands at the last offsets
                return None
        record = waiting.popleft()
        self._next[place] = record.offset + 1
        return record

    def rest(self) -> Iterator[Record]:
        for place in self._ends:
            while (record := self.next(*place)) is not None:
                yield record

    async def _fetch(self, place: Partition) -> None:
        """Wait until the partition has records waiting, or is known to have none left before its end.

        Raises BrokerError when nothing comes for a while.
        """
        (topic, number), end, partition = place, self._ends[place], self._partition(place)
        waiting = self._waiting[place]
        since = time.monotonic()
        while not waiting and await self._consumer.position(partition) < end:
            try:
                found = await self._consumer.getmany(partition, timeout_ms=500, max_records=_AT_ONCE)
            except KafkaError as error:
                raise cluster_error(self._settings, error, Right("Read", "topic", partition.topic)) from error
            for raw in found.get(partition, ()):
                if raw.offset < end:
                    waiting.append(Record(topic, number, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers))
            if not found and time.monotonic() - since > _STALL_S:
                raise BrokerError(f"Reading {topic}/{number} got nothing for {_STALL_S:.0f} s. {look(self._settings)}")

    def _partition(self, place: Partition) -> TopicPartition:
        return TopicPartition(topic_name(self._run, place[0]), place[1])

    def close(self) -> None:
        if self._consumer is not None:
            self._loop.run_until_complete(self._consumer.stop())
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def dead_letter_topics() -> tuple[str, ...]:
    """Short names of the dead-letter topics of a run."""
    return tuple(dead_letter_name(spec.name) for spec in topic_specs() if spec.dead_letters)


def _effects_first(topic: str) -> int:
    return -TOPICS.index(topic) if topic in TOPICS else -len(TOPICS)  # dead letters are effects of what they were
