"""Records on a real log as no client of this project would write them: without key and value, with empty headers."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition

from infra.cluster.connection import MAX_RECORD_BYTES
from infra.settings import Settings
from schemas.topics import topic_name


class RawRecord(NamedTuple):
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def write_raw(settings: Settings, run: str, records: Sequence[RawRecord]) -> list[int]:
    """Write records in order; their offsets."""
    return asyncio.run(_write(settings, run, records))


async def _write(settings: Settings, run: str, records: Sequence[RawRecord]) -> list[int]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, max_request_size=MAX_RECORD_BYTES)
    await producer.start()
    try:
        sent: list[Any] = []
        for topic in {topic_name(run, record.topic) for record in records}:
            await producer.partitions_for(topic)
        for record in records:
            # past `send`, which refuses a record without key and value
            place = TopicPartition(topic_name(run, record.topic), record.partition)
            sent.append(
                await producer._message_accumulator.add_message(
                    place, record.key, record.value, 30, timestamp_ms=None, headers=list(record.headers)
                )
            )
        return [(await future).offset for future in sent]
    finally:
        await producer.stop()
