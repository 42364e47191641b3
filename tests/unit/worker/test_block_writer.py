"""A partition has what was written in the order it was written, without gaps, whatever the cluster refuses."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.worker.block_writer import BATCH_BYTES, BlockWriter, Outbound


class Cluster:
    """A producer whose cluster takes records of a partition up to the first one with the value `refused`."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}

    def _ensure_producer(self) -> "Cluster":
        return self

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        confirmed = asyncio.get_running_loop().create_future()

        def answer() -> None:
            if b"refused" in batch._build():
                confirmed.set_exception(MessageSizeTooLargeError())
            else:
                first = self.taken.get(partition, 0)
                self.taken[partition] = first + batch.record_count()
                confirmed.set_result(SimpleNamespace(offset=first))

        asyncio.get_running_loop().call_later(0.001, answer)
        return confirmed


def written(cluster: Cluster, *values: bytes, partition: int = 0) -> list[int]:
    writer = BlockWriter(SimpleNamespace(producer=cluster))  # type: ignore[arg-type]
    records = [Outbound("kept", partition, b"id", value + b"." * (BATCH_BYTES // 2)) for value in values]
    return asyncio.run(writer.write([*records, Outbound("kept", 7, b"id", b"row")]))


def test_what_fills_several_batches_is_confirmed_in_order() -> None:
    cluster = Cluster()
    assert written(cluster, *(b"row",) * 5) == [0, 1, 2, 3, 4, 0]
    assert cluster.taken == {0: 5, 7: 1}


def test_behind_a_batch_that_is_refused_nothing_is_written_to_its_partition() -> None:
    """Readers take what comes behind a later row for a repeat, and would never see the refused one."""
    cluster = Cluster()
    with pytest.raises(MessageSizeTooLargeError):
        written(cluster, b"row", b"refused", b"row", b"row")
    assert cluster.taken == {0: 1, 7: 1}


class SlowWriter(BlockWriter):
    """Each write takes a moment; one of the value `lost` is not confirmed."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.written: list[bytes | None] = []

    async def write(self, records: Sequence[Outbound]) -> list[int]:
        await asyncio.sleep(0.001)
        if records[0].value == b"lost":
            raise ConnectionError("not confirmed")
        self.written += [record.value for record in records]
        return []


def scores() -> SimpleNamespace:
    return SimpleNamespace(changelog_topic_name="scores-changelog", data={})


def test_a_changelog_has_the_order_of_the_calls_also_when_they_overlap() -> None:
    async def steps() -> None:
        writer, table = SlowWriter(), scores()
        await writer.store(table, {b"s": b"1"})
        await asyncio.gather(writer.store(table, {b"s": b"2"}), writer.store(table, {b"s": b"3"}))
        await writer.store(table, {b"s": b"4"})
        await writer.store(table, {})
        assert writer.written == [b"1", b"2", b"3", b"4"]
        assert table.data == {b"s": b"4"}

    asyncio.run(steps())


def test_after_an_entry_that_was_not_confirmed_every_call_says_so_and_none_is_written() -> None:
    async def steps() -> None:
        writer, table = SlowWriter(), scores()
        await writer.store(table, {b"s": b"lost"})
        for entries in ({b"s": b"2"}, {b"s": b"3"}, {}):
            with pytest.raises(ConnectionError):
                await writer.store(table, entries)
        assert writer.written == []

    asyncio.run(steps())
