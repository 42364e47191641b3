"""Writing to a run's log outside the Faust worker: `LogWriter` confirms each write before it returns (or hands back a
future that does).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from infra.cluster.clients import connecting
from infra.cluster.connection import MAX_RECORD_BYTES, connection
from infra.cluster.refusals import Right, look, refusal
from infra.log.dead_letters import NO_VALUE, can_be_written, dead_letter_headers, left_out_headers
from infra.log.record import Record, now
from infra.settings import Settings
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import BrokerError
from schemas.events import Event
from schemas.registry import spec_of
from schemas.topics import dead_letter_name, topic_name

Pending = Any  # a kafka-python FutureRecordMetadata, which has no types

_CONFIRM_S = 130.0


class NotWritable(BrokerError):
    """The cluster, or its client, does not take such a record."""


@dataclass(frozen=True)
class Written:
    """Where a record was written."""

    partition: int
    offset: int


class LogWriter:
    """Writes one component's events to a run's topics; idempotent producer, all replicas confirm."""

    def __init__(self, settings: Settings, run: str, component: str) -> None:
        self._run = run
        self._source = f"/sedi/{run}/{component}"
        self._correlation = ids.run_id(run)
        self._settings = settings
        with connecting(settings) as client:
            self._producer = KafkaProducer(
                **connection(settings, f"sedi-{run}-{component}"),
                kafka_client=client,
                acks="all",
                enable_idempotence=True,
                max_request_size=MAX_RECORD_BYTES,
                compression_type="gzip",
                allow_auto_create_topics=False,
            )

    def write(self, event: Event, *, key: str, id: str, causation_id: str | None = None, partition: int = 0) -> Written:
        """Write an event and wait until the cluster has it. Raises BrokerError when it does not take it."""
        return self.wait(self.send(event, key=key, id=id, causation_id=causation_id, partition=partition))

    def send(self, event: Event, *, key: str, id: str, causation_id: str | None = None, partition: int = 0) -> Pending:
        """Write an event without waiting; hand the future to `wait`. Order within a partition is kept.

        Raises NotWritable for one that is larger than a record may be, BrokerError when the cluster is away.
        """
        meta = Meta(id, self._source, now(), causation_id, self._correlation)
        raw_key, value, headers = encode(event, key, meta)
        topic = topic_name(self._run, spec_of(type(event)).topic)
        try:
            future = self._producer.send(topic, value=value, key=raw_key, headers=headers, partition=partition)
        except MessageSizeTooLargeError as error:
            raise _too_large(topic, error) from error
        except KafkaError as error:
            raise self._failed(topic, error) from error
        return future

    def wait(self, future: Pending, timeout_s: float = _CONFIRM_S) -> Written:
        """Wait for a `send` to be confirmed. Raises NotWritable, BrokerError."""
        try:
            metadata = future.get(timeout=timeout_s)
        except MessageSizeTooLargeError as error:
            raise _too_large("its topic", error) from error
        except KafkaError as error:
            written_to = getattr(getattr(future, "_produce_future", None), "topic_partition", None)
            raise self._failed("" if written_to is None else written_to.topic, error) from error
        return Written(metadata.partition, metadata.offset)

    def dead_letter(self, record: Record) -> Written:
        """Put a record that could not be read on its topic's dead-letter topic, bytes, key and headers as they were.

        One that cannot be written like that is only named there.
        """
        topic = dead_letter_name(record.topic)
        error = f"{type(record.error).__name__}: {record.error}"
        added = dead_letter_headers(record.topic, record.partition, record.offset, error)
        try:
            return self.put(topic, 0, record.key, record.value, [*record.headers, *added])
        except NotWritable:
            return self.put(topic, 0, None, NO_VALUE, left_out_headers(added))

    def put(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
    ) -> Written:
        """Write bytes as they are, to a topic or a dead-letter topic, and wait until the cluster has them.

        Raises NotWritable when they are too many or of a form that is not taken, BrokerError when the write fails.
        """
        name, said = topic_name(self._run, topic), list(headers)
        if not can_be_written(key, value, said):
            raise NotWritable(f"A record without key and value, or a header without a value, cannot be put on {name}.")
        try:
            future = self._producer.send(name, value=value, key=key, headers=said, partition=partition)
            metadata = future.get(timeout=_CONFIRM_S)
        except MessageSizeTooLargeError as error:
            raise _too_large(name, error) from error
        except KafkaError as error:
            raise self._failed(name, error) from error
        return Written(metadata.partition, metadata.offset)

    def _failed(self, topic: str, error: KafkaError) -> BrokerError:
        """What a write to the topic that failed is; without a name, to the one that the error names."""
        refused = refusal(self._settings, error, Right("Write", "topic", topic))
        what = f"Writing to {topic} failed" if topic else "A write was not confirmed"
        return refused or BrokerError(f"{what}: {error}. Is the cluster up? {look(self._settings)}")

    def close(self) -> None:
        self._producer.close(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _too_large(topic: str, error: KafkaError) -> NotWritable:
    return NotWritable(f"A record is too large for {topic}: {error}. Raise its max.message.bytes.")
