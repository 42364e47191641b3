"""The time from a generation's write to its kept rows, as a reader of `kept` sees it, at a steady low rate.

Producer and reader are one process, so there is one clock: it runs from the call of the producer until the last kept
row of the generation has been read. Generations of which nothing is kept are left out.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.filter_log import LoadGeneration
from benchmarks.filter_sides import KEPT_PARTITIONS
from infra.cluster.connection import MAX_RECORD_BYTES, async_connection
from infra.log.record import now
from infra.settings import Settings
from schemas.topics import topic_name

_LAST_S = 10.0


class _Verdict(msgspec.Struct):
    generation_id: str


@dataclass(frozen=True)
class Latency:
    """Milliseconds over generations, written at `a_second` of them."""

    a_second: float
    generations: int
    p50_ms: float
    p99_ms: float
    most_ms: float


def latency(settings: Settings, run: str, generations: Sequence[LoadGeneration], a_second: float) -> Latency:
    """Write these generations at that rate, and wait for their kept rows."""
    found = asyncio.run(_measure(settings, run, generations, a_second))
    p50, p99, most = np.percentile(found, [50, 99, 100]) if found else (float("nan"),) * 3
    return Latency(a_second, len(found), float(p50), float(p99), float(most))


async def _measure(settings: Settings, run: str, generations: Sequence[LoadGeneration], a_second: float) -> list[float]:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    loop = asyncio.get_running_loop()
    written: dict[str, float] = {}
    arrived: dict[str, float] = {}
    records = [each.record(run, now()) for each in generations]
    async with (
        AIOKafkaProducer(
            **async_connection(settings, "bench-writer"), acks="all", max_request_size=MAX_RECORD_BYTES
        ) as producer,
        AIOKafkaConsumer(**async_connection(settings, "bench-reader"), enable_auto_commit=False) as consumer,
    ):
        name = topic_name(run, "kept")
        consumer.assign([TopicPartition(name, number) for number in range(KEPT_PARTITIONS)])
        await consumer.seek_to_end()

        async def read() -> None:
            async for record in consumer:
                arrived[msgspec.json.decode(record.value, type=_Verdict).generation_id] = loop.time()

        reading = asyncio.create_task(read())
        began = loop.time()
        for number, (each, (key, value, headers)) in enumerate(zip(generations, records, strict=True)):
            await asyncio.sleep(max(0.0, began + number / a_second - loop.time()))
            written[each.id] = loop.time()
            await producer.send(topic_name(run, "generated"), value, key, partition=0, headers=headers)
        await asyncio.sleep(_LAST_S)
        reading.cancel()
    return [1000 * (arrived[id] - at) for id, at in written.items() if id in arrived]
