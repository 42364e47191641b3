"""Reads a run's log by offset, outside the Faust worker.

It joins no consumer group, so reading changes nothing. A record that does not decode carries its error; none is raised.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from infra.cluster.admin import administrator, describe_topics
from infra.cluster.clients import cluster_error, connecting
from infra.cluster.connection import connection
from infra.cluster.refusals import Right, status_hint
from infra.log.closing import Closing
from infra.log.record import Partition, Record
from infra.log.watched import report_read
from infra.settings import Settings
from schemas.errors import BrokerError, RunError, SediError
from schemas.topics import is_optional, topic_name

_FETCH_BYTES = 1024 * 1024  # per partition; a larger record is fetched alone


class LogReader(Closing):
    """Reads all partitions of some of a run's topics, from the beginning or from given offsets.

    Records are in order within a partition only. A missing optional topic has no partitions. With a `group`, it starts
    at the group's committed offsets, and `commit` commits; it never joins the group.
    """

    def __init__(
        self, settings: Settings, run: str, topics: Iterable[str], component: str = "reader", group: str | None = None
    ) -> None:
        self._settings = settings
        self._run = run
        self._names = {topic_name(run, topic): topic for topic in topics}
        self._group = group
        with connecting(settings) as client:
            self._consumer = KafkaConsumer(
                **connection(settings, f"sedi-{run}-{component}"),
                kafka_client=client,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
                fetch_max_wait_ms=100,
            )
        try:
            with self._translated("Describe"):
                self._partitions = self._find_partitions()
                self._consumer.assign(self._partitions)
                if group is None and self._partitions:
                    self._consumer.seek_to_beginning(*self._partitions)
        except SediError:
            self._consumer.close()
            raise

    def _find_partitions(self) -> list[Any]:
        known = self._consumer.topics()
        absent = [name for name in self._names if name not in known]
        missing = [name for name in absent if not is_optional(self._names[name])]
        if missing or (absent and self._settings.security_protocol != "PLAINTEXT"):
            # A secured cluster hides topics that the user may not describe.
            with administrator(self._settings) as admin:
                describe_topics(self._settings, admin, self._run, absent)
        if missing:
            raise RunError(
                f"Run {self._run!r} is not on {self._settings.bootstrap_servers}: there is no topic {missing[0]}. "
                f"`sedi configure --run {self._run}` makes the run, `sedi run` makes and starts it."
            )
        return [
            TopicPartition(name, partition)
            for name in self._names
            if name in known
            for partition in sorted(self._consumer.partitions_for_topic(name) or ())
        ]

    def partitions(self, topic: str) -> int:
        """The number of partitions of a topic on the cluster."""
        return sum(1 for tp in self._partitions if self._names[tp.topic] == topic)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on."""
        self._consumer.seek(TopicPartition(topic_name(self._run, topic), partition), offset)

    def position(self, topic: str, partition: int) -> int:
        """The offset of the next record to read."""
        return int(self._consumer.position(TopicPartition(topic_name(self._run, topic), partition)))

    def ends(self, topics: Iterable[str] | None = None) -> dict[Partition, int]:
        """Each partition's end offset, of all topics or of some: the offset of the next record written."""
        return self._offsets(self._consumer.end_offsets, topics)

    def starts(self) -> dict[Partition, int]:
        """Each partition's first offset."""
        return self._offsets(self._consumer.beginning_offsets, None)

    def _offsets(self, request: Any, topics: Iterable[str] | None) -> dict[Partition, int]:
        names = None if topics is None else set(topics)
        wanted = [tp for tp in self._partitions if names is None or self._names[tp.topic] in names]
        with self._translated("Describe"):
            found = request(wanted)
        return {(self._names[tp.topic], tp.partition): int(offset) for tp, offset in found.items()}

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing from these partitions until `resume`; fetched records are kept."""
        self._consumer.pause(*(TopicPartition(topic_name(self._run, topic), number) for topic, number in partitions))

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._consumer.resume(*(TopicPartition(topic_name(self._run, topic), number) for topic, number in partitions))

    def poll(self, timeout_s: float = 0.5, limit: int = 1000) -> list[Record]:
        """Up to `limit` records; waits up to `timeout_s` for the first."""
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:
            # kafka-python 3.0.12 returns the fetched records of a resumed partition only while this is None, but leaves
            # an exhausted iterator in it: the partition would stall forever.
            fetcher._next_partition_records = None
        with self._translated("Read"):
            batches = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        return [
            Record(
                self._names[raw.topic], raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers or ()
            )
            for batch in batches.values()
            for raw in batch
        ]

    def commit(self) -> None:
        """Commit the group's offsets of the records that `poll` has returned."""
        with self._translated("Read"):
            self._consumer.commit()

    def read_to_end(self, stall_s: float = 30.0) -> Iterator[Record]:
        """All records from the current positions to the current end offsets.

        Raises BrokerError when no record arrives for `stall_s` before the end.
        """
        ends = self.ends()
        left = {tp for tp, end in ends.items() if self.position(*tp) < end}
        report_read(0, more=sum(ends[tp] - self.position(*tp) for tp in left))
        last = time.monotonic()
        while left:
            records = self.poll()
            report_read(len(records))
            for record in records:
                if record.offset < ends[(record.topic, record.partition)]:
                    yield record
            left = {tp for tp in left if self.position(*tp) < ends[tp]}
            if records:
                last = time.monotonic()
            elif time.monotonic() - last > stall_s:
                raise self.stalled(sorted(left), stall_s)
        for tp, end in ends.items():
            self.seek(*tp, end)

    def read_range(self, topic: str, partition: int, start: int, end: int | None, limit: int) -> list[Record]:
        """At most `limit` records [start, end) of a partition; None: to its current end. For a reader of one partition.

        Raises BrokerError when they do not arrive within 30 s.
        """
        last = self.ends()[topic, partition]
        stop = last if end is None else min(end, last)
        stop = min(stop, start + limit)
        found: list[Record] = []
        if start >= stop:
            return found
        self.seek(topic, partition, start)
        deadline = time.monotonic() + 30.0
        # By position, not by the last record: the last offsets may have no record.
        while self.position(topic, partition) < stop:
            found += [record for record in self.poll(limit=limit) if record.offset < stop]
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Reading {topic} from {start} to {stop} did not end in 30 s. {status_hint(self._settings)}"
                )
        return found

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        """Raise the client's errors as BrokerError; `operation` is the right that the call needs."""
        try:
            yield
        except KafkaError as error:
            about_group = type(error).__name__.startswith("Group")
            right = Right("Read", "group", self._group or "") if about_group else Right(operation)
            raise cluster_error(self._settings, error, right) from error

    def stalled(self, what: object, waited_s: float) -> BrokerError:
        """The error for partitions that deliver nothing before their end."""
        return BrokerError(f"Reading {what} got nothing for {waited_s:.0f} s. {status_hint(self._settings)}")

    def close(self) -> None:
        self._consumer.close()
