"""The tables are completed once after a recovery, and can be written before the cluster knows them."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import faust

from streams.worker.app import OnePartitionTable, Worker, _agents


def test_tables_are_repaired_once_after_each_recovery_and_only_when_all_is_recovered() -> None:
    written: list[str] = []

    async def settle() -> None:
        written.append("a block in progress")

    cursors: dict[str, Any] = {
        name: SimpleNamespace(active=False, settle=settle) for name in ("generated", "training-log")
    }

    async def repair_scores() -> None:
        written.append("scores")

    tables: Any = SimpleNamespace(
        repair_scores=repair_scores, write=lambda: written.append("seeds")
    )  # filter and seeds
    worker = Worker(None, None, tables, tables, cursors)  # type: ignore[arg-type]

    cursors["generated"].active = True
    asyncio.run(worker.repair())
    assert written == []

    cursors["training-log"].active = True
    asyncio.run(worker.repair())
    asyncio.run(worker.repair())
    assert written == ["a block in progress", "scores", "seeds"]

    worker.repaired = False  # as a recovery leaves it
    asyncio.run(worker.repair())
    assert written == ["a block in progress", "scores", "seeds"] * 2


class PanicException(BaseException):
    """As one of the compiled core, which is no Exception."""


def test_a_panic_stops_the_worker_without_an_ack_instead_of_ending_a_task_that_nobody_waits_for() -> None:
    crashes: list[BaseException] = []
    delivers: list[Any] = []

    class App:
        def topic(self, *_: Any, **__: Any) -> None: ...

        def agent(self, *_: Any, **__: Any) -> Any:
            return delivers.append

        async def crash(self, error: BaseException) -> None:
            crashes.append(error)

    class Stream:
        def noack(self) -> "Stream":
            return self

        async def events(self) -> AsyncIterator[Any]:
            message = SimpleNamespace(partition=0, offset=4, timestamp=0, key=b"", value=b"", headers=())
            yield SimpleNamespace(message=message)  # has no `ack`

    async def offer(*records: Any) -> None:
        raise PanicException("index out of bounds")

    cursors: dict[str, Any] = {"generated": SimpleNamespace(topic="generated", applied=3, offer=offer)}
    _agents(App(), "run", cursors)  # type: ignore[arg-type]
    asyncio.run(delivers[0](Stream()))
    assert [str(error) for error in crashes] == ["PanicException: index out of bounds"]
    assert isinstance(crashes[0], Exception)


def test_a_table_is_written_before_the_producer_has_heard_of_its_changelog() -> None:
    async def write() -> dict[bytes, bytes]:
        app = faust.App("tables", store="memory://", Table=OnePartitionTable)
        table = app.Table("scores", key_type=bytes, value_type=bytes, partitions=1, use_partitioner=True)
        table[b"seed"] = b"score"  # no producer was started: asking it for the partition would fail
        return dict(table)

    assert asyncio.run(write()) == {b"seed": b"score"}
