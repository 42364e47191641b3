"""Writes events to a run's log, outside the Faust worker."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from infra.cluster.clients import connecting
from infra.cluster.connection import MAX_RECORD_BYTES, connection
from infra.cluster.refusals import Right, refusal, status_hint
from infra.log.closing import Closing
from infra.log.dead_letters import NO_VALUE, can_be_written, dead_letter_headers, left_out_headers
from infra.log.record import Record, now
from infra.settings import Settings
from infra.tracing.context import traceparent_of
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import BrokerError
from schemas.events import Event
from schemas.registry import spec_of
from schemas.topics import dead_letter_name, topic_name

Pending = Any  # a kafka-python FutureRecordMetadata, which is untyped

_CONFIRM_S = 130.0


class NotWritable(BrokerError):
    """The cluster or its client rejects the record itself; a retry fails again."""


@dataclass(frozen=True)
class Written:
    """The partition and offset of a written record."""

    partition: int
    offset: int


class LogWriter(Closing):
    """An idempotent producer of one component's events, with acks=all. Keeps the order within a partition.

    Each record names the span that it is written in (`infra.tracing.context`).
    """

    def __init__(self, settings: Settings, run: str, component: str) -> None:
        self.run = run
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
        """Write an event and wait until all replicas confirm it. Raises NotWritable, BrokerError."""
        return self.wait(self.send(event, key=key, id=id, causation_id=causation_id, partition=partition))

    def send(self, event: Event, *, key: str, id: str, causation_id: str | None = None, partition: int = 0) -> Pending:
        """Write an event without waiting; pass the future to `wait`. Raises NotWritable, BrokerError."""
        traceparent = traceparent_of(self.run, event, id)
        meta = Meta(id, self._source, now(), causation_id, self._correlation, traceparent)
        raw_key, value, headers = encode(event, key, meta)
        return self._send(topic_name(self.run, spec_of(type(event)).topic), partition, raw_key, value, headers)

    def wait(self, future: Pending, timeout_s: float = _CONFIRM_S) -> Written:
        """Wait until a `send` is confirmed. Raises NotWritable, BrokerError."""
        written_to = getattr(getattr(future, "_produce_future", None), "topic_partition", None)
        with self._translated("" if written_to is None else written_to.topic):
            metadata = future.get(timeout=timeout_s)
        return Written(metadata.partition, metadata.offset)

    def dead_letter(self, record: Record) -> Written:
        """Write a record that could not be read to its dead-letter topic, with the same bytes, key and headers.

        A record that Kafka's client cannot write is only named there.
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
        """Write raw bytes to a topic or dead-letter topic and wait until confirmed. Raises NotWritable, BrokerError."""
        name, header_list = topic_name(self.run, topic), list(headers)
        if not can_be_written(key, value, header_list):
            raise NotWritable(f"A record without key and value, or a header without a value, cannot be put on {name}.")
        return self.wait(self._send(name, partition, key, value, header_list))

    def _send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Pending:
        with self._translated(topic):
            return self._producer.send(topic, value=value, key=key, headers=headers, partition=partition)

    @contextmanager
    def _translated(self, topic: str) -> Iterator[None]:
        """Raise the client's errors as NotWritable or BrokerError; `topic` is empty when unknown."""
        try:
            yield
        except MessageSizeTooLargeError as error:
            raise NotWritable(
                f"A record is too large for {topic or 'its topic'}: {error}. Raise its max.message.bytes."
            ) from error
        except KafkaError as error:
            refused = refusal(self._settings, error, Right("Write", "topic", topic))
            what = f"Writing to {topic} failed" if topic else "A write was not confirmed"
            raise refused or BrokerError(
                f"{what}: {error}. Is the cluster up? {status_hint(self._settings)}"
            ) from error

    def close(self) -> None:
        self._producer.close(timeout=30)
