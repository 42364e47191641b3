"""Writes many records at once: the outputs of a block, and the entries of its tables.

Faust's own sending wraps each record in objects and tasks that cost more than a decision. Here aiokafka's builder puts
the records of a partition into batches, and the app's producer gets the batches. It sends them with the app's settings:
each partition's batches in order, each once the one before is confirmed by all in-sync replicas.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import faust

from infra.cluster.connection import MAX_RECORD_BYTES
from infra.log.record_batches import Content, record_batches

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
    """Writes with the producer of a Faust app, once that has started. `write` must not overlap for one partition."""

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
        """Put entries into a table; its changelog follows, in the order of the calls, which may overlap.

        Raises when the entries before were not confirmed; then neither these nor any later ones are written.
        """
        name = table.changelog_topic_name
        table.data.update(entries)
        before = self._storing.get(name)
        if entries:
            records = [Outbound(name, 0, key, value) for key, value in entries.items()]
            self._storing[name] = asyncio.ensure_future(self._after(before, records))
        if before is not None:
            await asyncio.shield(before)

    async def _after(self, before: "asyncio.Future[Any] | None", records: Sequence[Outbound]) -> None:
        if before is not None:
            await before
        await self.write(records)

    async def _write(self, topic: str, partition: int, records: Sequence[Outbound]) -> list[int]:
        """One batch at a time: were one refused and the next one taken, what is written again would come too late. For
        readers an event that is older than the last one of its partition is a repeat.
        """
        producer = self._app.producer._ensure_producer()  # type: ignore[attr-defined]
        offsets: list[int] = []
        for batch in record_batches(producer, _contents(producer, records)):
            batch.close()
            first = (await (await producer.send_batch(batch, topic, partition=partition))).offset
            offsets.extend(range(first, first + batch.record_count()))
        return offsets


def _contents(producer: Any, records: Iterable[Outbound]) -> Iterator[Content]:
    for record in records:
        if len(record.value or b"") * 2 > MAX_RECORD_BYTES:
            producer._serialize(record.key, record.value, list(record.headers))  # refuses one that is too large
        yield None, record.key, record.value, record.headers
