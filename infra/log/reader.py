"""Reading a run's log outside the Faust worker: `LogReader` reads partitions by offset, without a consumer group, so
reading never changes anything; records that do not decode come out as such, never as exceptions.
"""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from infra.cluster.admin import administrator, described
from infra.cluster.clients import cluster_error, connecting
from infra.cluster.connection import connection
from infra.cluster.refusals import Right, look
from infra.log.record import Partition, Record
from infra.settings import Settings
from schemas.errors import BrokerError, RunError, SediError
from schemas.topics import is_optional, topic_name

_FETCH_BYTES = 1024 * 1024  # of a partition at a time; a larger record comes all the same, alone


class LogReader:
    """Reads some of a run's topics from given offsets, all partitions, in the order the cluster serves them.

    A topic that a run may lack is as if it had no partitions where it is not there.
    Order is kept within a partition only. `position` is where the next record of a partition would come from.
    With a `group` it begins at the offsets that were committed for that, and `commit` commits; it never joins it.
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
            self._partitions = self._find_partitions()
            self._consumer.assign(self._partitions)
            if group is None and self._partitions:
                self._consumer.seek_to_beginning(*self._partitions)
        except KafkaError as error:
            self._consumer.close()
            raise self._failed("Describe", error) from error
        except SediError:
            self._consumer.close()
            raise

    def _find_partitions(self) -> list[Any]:
        known = self._consumer.topics()
        absent = [name for name in self._names if name not in known]
        missing = [name for name in absent if not is_optional(self._names[name])]
        if missing or (absent and self._settings.security_protocol != "PLAINTEXT"):
            # Where a cluster knows its users it hides topics from those who have no right to them.
            with administrator(self._settings) as admin:
                described(self._settings, admin, self._run, absent)
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
        """How many partitions a topic has on the cluster."""
        return sum(1 for tp in self._partitions if self._names[tp.topic] == topic)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on."""
        self._consumer.seek(TopicPartition(topic_name(self._run, topic), partition), offset)

    def position(self, topic: str, partition: int) -> int:
        return int(self._consumer.position(TopicPartition(topic_name(self._run, topic), partition)))

    def ends(self, topics: Iterable[str] | None = None) -> dict[Partition, int]:
        """The offset that the next record written would get, by partition; of all topics, or of some."""
        return self._offsets(self._consumer.end_offsets, topics)

    def starts(self) -> dict[Partition, int]:
        """The first offset that is there, by partition."""
        return self._offsets(self._consumer.beginning_offsets, None)

    def _offsets(self, ask: Any, topics: Iterable[str] | None) -> dict[Partition, int]:
        names = None if topics is None else set(topics)
        wanted = [tp for tp in self._partitions if names is None or self._names[tp.topic] in names]
        try:
            found = ask(wanted)
        except KafkaError as error:
            raise self._failed("Describe", error) from error
        return {(self._names[tp.topic], tp.partition): int(offset) for tp, offset in found.items()}

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing from these partitions until `resume`; what was fetched of them is kept."""
        self._consumer.pause(*(TopicPartition(topic_name(self._run, topic), number) for topic, number in partitions))

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._consumer.resume(*(TopicPartition(topic_name(self._run, topic), number) for topic, number in partitions))

    def poll(self, timeout_s: float = 0.5, limit: int = 1000) -> list[Record]:
        """The records that have come, at most `limit`; waits up to `timeout_s` for the first."""
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:
            # kafka-python 3.0.12 gives out what it holds of a partition that was paused and resumed only while this is
            # None, and leaves what it has read to the end in it: the partition would stand still for ever.
            fetcher._next_partition_records = None
        try:
            batches = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        except KafkaError as error:
            raise self._failed("Read", error) from error
        return [
            Record(
                self._names[raw.topic], raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers or ()
            )
            for batch in batches.values()
            for raw in batch
        ]

    def commit(self) -> None:
        """Commit for the group what `poll` has given so far."""
        try:
            self._consumer.commit()
        except KafkaError as error:
            raise self._failed("Read", error) from error

    def read_to_end(self, stall_s: float = 30.0) -> Iterator[Record]:
        """All records from the current positions up to what the ends are now.

        Raises BrokerError when nothing comes for `stall_s` although the end is not reached.
        """
        ends = self.ends()
        left = {tp for tp, end in ends.items() if self.position(*tp) < end}
        last = time.monotonic()
        while left:
            records = self.poll()
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
        """Records [start, end) of one partition, up to its end now for None, at most `limit`.

        Only for a reader of one partition. Raises BrokerError when they do not come within 30 s.
        """
        last = self.ends()[topic, partition]
        stop = last if end is None else min(end, last)
        stop = min(stop, start + limit)
        found: list[Record] = []
        if start >= stop:
            return found
        self.seek(topic, partition, start)
        deadline = time.monotonic() + 30.0
        # The reader's position, and not the last record found, tells the end: no record may stand at the last offsets.
        while self.position(topic, partition) < stop:
            found += [record for record in self.poll(limit=limit) if record.offset < stop]
            if time.monotonic() > deadline:
                raise BrokerError(f"Reading {topic} from {start} to {stop} did not end in 30 s. {look(self._settings)}")
        return found

    def _failed(self, operation: str, error: KafkaError) -> BrokerError:
        named_group = type(error).__name__.startswith("Group")
        right = Right("Read", "group", self._group or "") if named_group else Right(operation)
        return cluster_error(self._settings, error, right)

    def stalled(self, what: object, waited_s: float) -> BrokerError:
        """The error for partitions of which nothing comes although there is something."""
        return BrokerError(f"Reading {what} got nothing for {waited_s:.0f} s. {look(self._settings)}")

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
