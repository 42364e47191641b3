"""Writes many records at once: the outputs of a block, and the entries of its tables.

Faust's own sending wraps each record in objects and tasks that cost more than a decision. Here aiokafka's builder puts
the records of a partition into batches, and the app's producer gets the batches. It sends them with the app's settings:
each partition's batches in order, one after the other, confirmed by all in-sync replicas.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import faust

from infra.cluster.connection import MAX_RECORD_BYTES

BATCH_BYTES = 128 * 1024
"""A batch of several records is no larger: far below what a cluster accepts by default (1 MB)."""


class Outbound(NamedTuple):
    """A record to write; `topic` is its full name."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class BlockWriter:
    """Writes with the producer of a Faust app, once that has started. Its calls must not overlap for one partition."""

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._storing: dict[str, asyncio.Future[Any]] = {}

    async def write(self, records: Sequence[Outbound]) -> list[int]:
        """Write records; each partition keeps their order. Returns their offsets once the cluster has confirmed all.

        Raises when one is not confirmed.
        """
        places: dict[tuple[str, int], list[int]] = {}
        for place, record in enumerate(records):
            places.setdefault((record.topic, record.partition), []).append(place)
        written = await asyncio.gather(
            *(self._write(*where, [records[place] for place in found]) for where, found in places.items())
        )
        offsets = [0] * len(records)
        for found, theirs in zip(places.values(), written, strict=True):
            for place, offset in zip(found, theirs, strict=True):
                offsets[place] = offset
        return offsets

    async def store(self, table: Any, entries: Mapping[bytes, bytes]) -> None:
        """Put entries into a table; its changelog follows. Raises when the entries before were not confirmed."""
        name = table.changelog_topic_name
        table.data.update(entries)
        before = self._storing.pop(name, None)
        if before is not None:
            await before
        if entries:
            records = [Outbound(name, 0, key, value) for key, value in entries.items()]
            self._storing[name] = asyncio.ensure_future(self.write(records))

    async def _write(self, topic: str, partition: int, records: Sequence[Outbound]) -> list[int]:
        producer = self._app.producer._ensure_producer()  # type: ignore[attr-defined]
        pending: list[tuple[int, Any]] = []
        batch = producer.create_batch()
        for record in records:
            if len(record.value or b"") * 2 > MAX_RECORD_BYTES:
                producer._serialize(record.key, record.value, list(record.headers))  # refuses one that is too large
            if not _append(batch, record):
                pending.append((batch.record_count(), await producer.send_batch(batch, topic, partition=partition)))
                batch = producer.create_batch()
                _append(batch, record)
        batch.close()
        pending.append((batch.record_count(), await producer.send_batch(batch, topic, partition=partition)))
        offsets: list[int] = []
        for count, confirmed in pending:
            first = (await confirmed).offset
            offsets += range(first, first + count)
        return offsets


def _append(batch: Any, record: Outbound) -> bool:
    """Append to a batch; False when it is full. An empty one takes a record of any size."""
    appended = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return appended is not None
