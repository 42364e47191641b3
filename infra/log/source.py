"""A bounded reading of a run's log, from a cluster or from an archive (`infra.log.archive`). Changes nothing.

A `Source` opens a `Reading` of some topics. The end offsets are fixed on opening, effects first and causes last, so
each effect is covered together with its cause while the run goes on. Records of a partition come in offset order, the
caller chooses the partition, and memory is bounded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.cluster.clients import cluster_error
from infra.cluster.connection import async_connection
from infra.cluster.refusals import Right, status_hint
from infra.log.closing import Closing
from infra.log.reader import LogReader
from infra.log.record import Partition, Record
from infra.log.watched import report_read
from infra.settings import Settings
from schemas.errors import BrokerError
from schemas.topics import dead_letter_name, lacking, topic_name, topic_specs

TOPICS = (
    "run",
    "documents",
    "calls",
    "generated",
    "kept",
    "rejected",
    "answered",
    "judged",
    "training-log",
    "seed-commands",
    "measured",
    "answers",
    "judgements",
)
"""A run's topics, causes before effects."""

_AT_ONCE = 1_000  # records of a partition that are taken from the client at a time
_FETCH_BYTES = 1024 * 1024  # per partition; a larger record is fetched alone
_STALL_S = 30.0


class Reading(Protocol):
    """An open reading of a run; not thread-safe."""

    def starts(self) -> Mapping[Partition, int]:
        """Each partition's first offset."""
        ...

    def ends(self) -> Mapping[Partition, int]:
        """Each partition's end offset: one after the last that is covered."""
        ...

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on, which may have been read before."""
        ...

    def next(self, topic: str, partition: int) -> Record | None:
        """The partition's next record; None at its end."""
        ...

    def rest(self) -> Iterator[Record]:
        """All remaining records: each partition in order, partitions in any order."""
        ...


class Source(Protocol):
    """A run's log."""

    @property
    def run(self) -> str: ...

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    def open(self, topics: Iterable[str]) -> AbstractContextManager[Reading]:
        """Read these topics (short names). A missing optional one is empty; raises RunError for another."""
        ...


class KafkaSource:
    """A run on a cluster."""

    def __init__(self, settings: Settings, run: str) -> None:
        self.run = run
        self.name = f"run {run!r} on {settings.bootstrap_servers}"
        self._settings = settings

    def open(self, topics: Iterable[str]) -> "KafkaReading":
        return KafkaReading(self._settings, self.run, topics)


class KafkaReading(Closing):
    """An aiokafka consumer without a group, on an event loop that runs only during a call.

    It parses records in C, three times as fast as kafka-python, and reads one partition without blocking others.
    """

    def __init__(self, settings: Settings, run: str, topics: Iterable[str]) -> None:
        wanted = tuple(topics)
        with LogReader(settings, run, wanted, "reading") as reader:
            self._starts = reader.starts()
            self._ends: dict[Partition, int] = {}
            # One request per topic, effects first: an effect written in between is covered with its cause.
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
        report_read(0, more=sum(end - self._starts[place] for place, end in self._ends.items()))
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
        report_read(0, more=self._next[place] - offset)
        self._next[place] = offset
        self._waiting[place].clear()
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
                self._next[place] = self._ends[place]  # the last offsets have no record
                return None
        record = waiting.popleft()
        self._next[place] = record.offset + 1
        return record

    def rest(self) -> Iterator[Record]:
        for place in self._ends:
            while (record := self.next(*place)) is not None:
                yield record

    async def _fetch(self, place: Partition) -> None:
        """Wait until the partition has records waiting or is at its end. Raises BrokerError when it stalls."""
        (topic, number), end, partition = place, self._ends[place], self._partition(place)
        waiting = self._waiting[place]
        since = time.monotonic()
        while not waiting and await self._consumer.position(partition) < end:
            try:
                found = await self._consumer.getmany(partition, timeout_ms=500, max_records=_AT_ONCE)
            except KafkaError as error:
                raise cluster_error(self._settings, error, Right("Read", "topic", partition.topic)) from error
            report_read(len(found.get(partition, ())))
            for raw in found.get(partition, ()):
                if raw.offset < end:
                    waiting.append(Record(topic, number, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers))
            if not found and time.monotonic() - since > _STALL_S:
                raise BrokerError(
                    f"Reading {topic}/{number} got nothing for {_STALL_S:.0f} s. {status_hint(self._settings)}"
                )

    def _partition(self, place: Partition) -> TopicPartition:
        return TopicPartition(topic_name(self._run, place[0]), place[1])

    def close(self) -> None:
        if self._consumer is not None:
            self._loop.run_until_complete(self._consumer.stop())
        self._loop.close()


def dead_letter_topics() -> tuple[str, ...]:
    """Short names of a run's dead-letter topics."""
    return tuple(dead_letter_name(spec.name) for spec in topic_specs() if spec.dead_letters)


def _effects_first(topic: str) -> int:
    return -TOPICS.index(topic) if topic in TOPICS else -len(TOPICS)  # a dead letter is an effect of its record
