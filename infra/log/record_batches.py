"""Puts many records into batches by aiokafka's builder: quicker than writing one by one, and the only way in which
aiokafka writes a record without key and value.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from infra.cluster.connection import MAX_RECORD_BYTES, async_connection
from infra.settings import Settings

Content = tuple[int | None, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Timestamp in milliseconds (None: now), key, value and headers of a record."""

_BATCH_BYTES = 512 * 1024  # uncompressed; a larger record is a batch of its own


def bulk_producer(settings: Settings, client: str) -> AIOKafkaProducer:
    """A producer for large batches, confirmed by all in-sync replicas; to be started."""
    return AIOKafkaProducer(
        **async_connection(settings, client),
        acks="all",
        enable_idempotence=True,
        compression_type="gzip",
        max_batch_size=_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
    )


def record_batches(producer: Any, contents: Iterable[Content]) -> Iterator[Any]:
    """The records of a partition in batches of at most the producer's batch size, in order."""
    batch = producer.create_batch()
    for content in contents:
        if not append(batch, content):
            yield batch
            batch = producer.create_batch()
            append(batch, content)
    if batch.record_count():
        yield batch


def append(batch: Any, content: Content) -> bool:
    """Append to a batch; False when it is full. An empty one takes a record of any size."""
    timestamp, key, value, headers = content
    return batch.append(timestamp=timestamp, key=key, value=value, headers=list(headers)) is not None
