"""The real worker, wired by its own `build`, on a Faust app, a cluster and changelogs in memory.

Only the outside is replaced: the Faust app (topics, tables, agents, signals, the timer) and reading the log. Sends are
confirmed in the next iteration of the event loop, together, as a producer's batch. A table's writes reach its changelog
when `land` is called; a crash loses the others. `at` is called wherever a process can die, and may raise Crash or
Outage.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from infra.log.record import Record
from infra.log.run import configuration
from infra.settings import Settings
from schemas.topics import topic_name
from streams.worker import app as worker_app
from streams.worker.app import Worker
from streams.worker.block_writer import BlockWriter, Outbound
from tests.harness.answers import MemoryFailedAnswers
from tests.harness.memory_log import MemoryLog

PAGE = 3  # maximum records of one read of the log
TABLES = ("kept", "scores", "seeds")

At = Callable[[str], None]
Callback = Callable[..., Coroutine[Any, Any, None]]


class Crash(BaseException):
    """The process dies here. Not an Exception, so that nothing handles it."""


class Outage(Exception):
    """An external failure, such as an unavailable broker."""


@dataclass
class Changelogs:
    """The tables' changelogs: (key, value) in order, by table."""

    entries: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def table(self, name: str) -> dict[bytes, bytes]:
        return dict(self.entries[name])


class MemoryTable(dict[bytes, bytes]):
    """A table; writes that are not on its changelog yet are in `unlanded`."""

    def __init__(self, name: str, at: At) -> None:
        super().__init__()
        self.unlanded: list[tuple[bytes, bytes]] = []
        self.recovered: list[Callback] = []
        self._name = name
        self._at = at

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._at(f"before table {self._name}")
        super().__setitem__(key, value)
        self.unlanded.append((key, value))
        self._at(f"after table {self._name}")

    def on_recover(self, callback: Callback) -> Callback:
        self.recovered.append(callback)
        return callback


@dataclass(frozen=True)
class _Sent:
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    confirmed: "asyncio.Future[Any]"


class Producer:
    """An asynchronous producer: sends wait in a batch until they land on the log."""

    def __init__(self, log: MemoryLog, at: At) -> None:
        self._log = log
        self._at = at
        self._batch: list[_Sent] = []

    def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        self._at(f"in a write, before {topic}" if self._batch else f"before {topic}")
        loop = asyncio.get_running_loop()
        if not self._batch:
            loop.call_soon(self._land_all)
        sent = _Sent(topic, partition, key, value, headers, loop.create_future())
        self._batch.append(sent)
        return sent.confirmed

    def die(self, spare: Callable[[int], bool]) -> None:
        """Land only the pending sends to spared partitions; the others are lost."""
        batch, self._batch = self._batch, []
        for sent in batch:
            if spare(sent.partition):
                self._land(sent)

    def _land_all(self) -> None:
        batch, self._batch = self._batch, []
        for sent in batch:
            offset = self._land(sent)
            try:
                self._at(f"after {sent.topic}")
            except (Crash, Outage) as end:  # on the log, but not confirmed to the process
                sent.confirmed.set_exception(end)
                sent.confirmed.exception()  # marks it as retrieved
            else:
                sent.confirmed.set_result(SimpleNamespace(offset=offset))

    def _land(self, sent: _Sent) -> int:
        return self._log.append(sent.topic, sent.partition, sent.key, sent.value, sent.headers).offset


class MemoryWriter(BlockWriter):
    """Writes with the producer in memory, record by record."""

    def __init__(self, run: str, producer: Producer) -> None:
        self._run = run
        self._producer = producer

    async def write(self, records: Sequence[Outbound]) -> list[int]:
        pending = [
            self._producer.send(topic.removeprefix(f"sedi.{self._run}."), partition, key, value, headers)
            for topic, partition, key, value, headers in records
        ]
        return [int(confirmed.offset) for confirmed in await asyncio.gather(*pending)]

    async def store(self, table: Any, entries: Mapping[bytes, bytes]) -> None:
        for key, value in entries.items():
            table[key] = value


class MemoryApp:
    """The part of a Faust app that the worker uses."""

    def __init__(self, run: str, producer: Producer, at: At) -> None:
        self.tables = {name: MemoryTable(name, at) for name in TABLES}
        self.agents: dict[str, Callback] = {}
        self.timers: list[tuple[float, Callback]] = []
        self.revoked: list[Callback] = []
        self.error: BaseException | None = None
        self.assigned = False
        self.on_partitions_revoked = SimpleNamespace(connect=self.revoked.append)
        self.on_before_shutdown = SimpleNamespace(connect=lambda callback: callback)
        self.assignor = SimpleNamespace(assigned_actives=self._actives)
        self._run = run
        self._producer = producer

    def topic(self, name: str, **_: Any) -> "MemoryTopic":
        return MemoryTopic(name.removeprefix(f"sedi.{self._run}."), self._producer)

    def Table(self, name: str, **_: Any) -> MemoryTable:
        return self.tables[name]

    def agent(self, topic: "MemoryTopic", **_: Any) -> Callable[[Callback], None]:
        return lambda deliver: self.agents.__setitem__(topic.name, deliver)

    def timer(self, interval_s: float) -> Callable[[Callback], None]:
        return lambda callback: self.timers.append((interval_s, callback))

    def task(self, background: Callback) -> Callback:
        """Background tasks are not started: decisions do not depend on them."""
        return background

    async def crash(self, error: BaseException) -> None:
        """The first one counts, as in Faust: what runs beside it finds the state ahead of its tables."""
        if self.error is None:
            self.error = error

    def _actives(self) -> list[Any]:
        topics = self.agents if self.assigned else ()
        return [SimpleNamespace(topic=topic_name(self._run, topic), partition=0) for topic in topics]


@dataclass(frozen=True)
class MemoryTopic:
    """A topic to which the worker sends."""

    name: str
    producer: Producer

    async def send(self, *, key: Any, value: Any, partition: int, headers: Any) -> "asyncio.Future[Any]":
        return self.producer.send(self.name, partition, key, value, headers)


class Delivery:
    """A stream of one event, which may be acknowledged."""

    def __init__(self, record: Record) -> None:
        self.acked = False
        self.message = SimpleNamespace(
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp_ms / 1000,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )

    def noack(self) -> "Delivery":
        return self

    async def events(self) -> AsyncIterator["Delivery"]:
        yield self

    def ack(self) -> None:
        self.acked = True


class Process:
    """One worker process on the log and the changelogs. Its methods raise the error that ended it, if any."""

    def __init__(self, log: MemoryLog, changelogs: Changelogs, at: At, settings: Settings) -> None:
        self.dead = False
        self.settings = settings
        self.producer = Producer(log, self.at)
        self.app = MemoryApp(log.run, self.producer, self.at)
        self._at = at
        self._log = log
        self._changelogs = changelogs
        configured, _ = configuration(log)
        with self._patched():
            self.worker: Worker = worker_app.build(self.settings, log.run, configured)

    def at(self, point: str) -> None:
        """The process reaches a point; a dead process raises Crash at each."""
        if self.dead:
            raise Crash(point)
        try:
            self._at(point)
        except Crash:
            self.dead = True
            raise

    async def take_over(self) -> None:
        """Assign the partitions: the tables read their changelogs, then the worker recovers."""
        self.app.assigned = True
        await self.recover()

    async def recover(self) -> None:
        for name, table in self.app.tables.items():
            table.update(self._changelogs.entries[name])
        for callback in self.app.tables["kept"].recovered:
            await self._run(callback())

    async def deliver(self, *records: Record, tick: bool = False) -> list[Record]:
        """Deliver records to their agents concurrently; returns the acknowledged ones. `tick`: the timers fire too."""
        deliveries = [Delivery(record) for record in records]
        agents = [self.app.agents[record.topic] for record in records]
        steps = [agent(delivery) for agent, delivery in zip(agents, deliveries, strict=True)]
        await self._run(_all(steps + [callback() for _, callback in self.app.timers if tick]))
        return [record for record, delivery in zip(records, deliveries, strict=True) if delivery.acked]

    async def tick(self) -> None:
        """Fire the timers."""
        for _, callback in self.app.timers:
            await self._run(callback())

    async def revoke(self) -> None:
        """Revoke the partitions and notify the process."""
        self.app.assigned = False
        for callback in self.app.revoked:
            await callback(self.app, set())

    def land(self, hold: int = 0) -> None:
        """Write the pending table writes to the changelogs, except the last `hold` of each table."""
        for name, table in self.app.tables.items():
            count = max(0, len(table.unlanded) - hold)
            self._changelogs.entries[name] += table.unlanded[:count]
            del table.unlanded[:count]

    async def _run(self, steps: Awaitable[None]) -> None:
        with self._patched():
            await steps
        if self.app.error is not None:  # App.crash ends the process
            error, self.app.error = self.app.error, None
            raise error

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """Replace the worker's external dependencies."""
        with (
            patch.object(worker_app, "_app", lambda *_: self.app),
            patch.object(worker_app, "BlockWriter", lambda *_: MemoryWriter(self._log.run, self.producer)),
            patch.object(worker_app, "LogFetcher", lambda *_: self._fetcher()),
            patch.object(worker_app, "read_run", self._read_run),
        ):
            yield

    def _fetcher(self) -> Any:
        failed = MemoryFailedAnswers(self._log, self.at)
        return SimpleNamespace(fetch=self._fetch, close=lambda: None, answered=None, failed_answers=failed)

    def _read_run(self, *_: Any) -> Any:
        self.at("in recovery")
        return configuration(self._log)

    async def _fetch(self, topic: str, start: int, end: int | None) -> Sequence[Record]:
        self.at(f"before reading {topic}")
        await asyncio.sleep(0)
        records = self._log.records(topic)
        return records[start : min(len(records) if end is None else end, start + PAGE)]


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all concurrently; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
