"""A run in memory, played from a script in which crashes, pauses and duplicates are items among the records.

    Stream().play(Generation("Name a river"), CRASH("after rejected"), Generation("Name a town")).as_undisturbed()

A `Generation` is written to `generated` with seeds sampled from the pool, a `Window` to `training-log` with batches of
the rows kept so far, as by a generator and a trainer; each is delivered to the worker at once, unless an item before it
changes that. A dead process is replaced by a new one, or by the standby, to which unacknowledged records are delivered
again. At the end of the script the worker gets time to finish, and is then restarted once more.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from unittest.mock import patch

import msgspec

from consumers.replay import audit
from infra.log.record import Record
from infra.settings import Settings
from schemas.events import Classifier, RunConfigured
from schemas.policy import Policy
from streams.core import cluster_fit, refits
from streams.core.embeddings import Embedder
from streams.worker.app import CATCH_UP_S
from tests.harness.causes import Causes
from tests.harness.effects import on_log, seed_entries, undisturbed
from tests.harness.memory_log import Clock, MemoryLog
from tests.harness.memory_worker import Changelogs, Crash, Outage, Process
from tests.harness.script import (
    BETWEEN,
    CRASH,
    DUPLICATE,
    LATE,
    MEANWHILE,
    PAUSE,
    REBALANCE,
    SKIP,
    TOGETHER,
    Answers,
    Garbage,
    Generation,
    Item,
    Judgement,
    Window,
)
from tests.unit.core.conftest import first_classifier

DELIVERED = ("generated", "training-log", "seed-commands")


# -- the driver --------------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """One run. After `play`, `log` is the log, and `active` the process with the partitions.

    died      points at which a process died, in order
    reached   points that processes reached, in order, until the end of the script
    """

    configured: RunConfigured
    settings: Settings = field(default_factory=Settings)
    died: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        policy = self.configured.policy
        self.clock = Clock()
        self.log = MemoryLog(self.configured, first_classifier(policy, self.configured.seeds), self.clock)
        self.changelogs = Changelogs()
        self.active: Process
        self.standby: Process | None = None
        self.zombie: Process | None = None
        self._zombie_first = False
        self._armed: list[tuple[CRASH, list[int]]] = []
        self._died_of: CRASH
        self._committed = dict.fromkeys(DELIVERED, 0)
        self._causes = Causes(self.configured, self.log)
        self._skip = self._meanwhile = self._ending = False
        self._late: list[Record] = []
        self._waiting_for = 0
        self._commands_delivered = 0
        self._ticked = 0.0

    def play(self, *script: Item) -> "Stream":
        """Play a script to its end, once for a stream."""
        with fits_once():
            asyncio.run(asyncio.wait_for(self._play(script), 60))
        return self

    async def _play(self, script: tuple[Item, ...]) -> None:
        ahead = 0  # deaths at the head of a script may be those of the first start
        while ahead < len(script) and isinstance(death := script[ahead], CRASH) and death.at != BETWEEN:
            await self._item(death)
            ahead += 1
        await self._take_over(None)
        for item in script[ahead:]:
            await self._item(item)
        await self._finish()

    async def _item(self, item: Item) -> None:
        self.clock.now += 0.01
        match item:
            case Generation():
                await self._arrive(self._causes.generation(item))
            case Window():
                record = self._causes.window(item)
                if record is not None:
                    await self._arrive(record)
            case Judgement() | Answers():
                self._causes.beside(item)
            case Garbage(topic):
                await self._arrive(self.log.append(topic, 0, b"some key", b"not an event", [("from", b"elsewhere")]))
            case CRASH(at) if at == BETWEEN:
                self._died_of = item
                self.active.dead = True
                await self._died(self.active)
            case CRASH():
                self._armed.append((item, [item.hit]))
            case PAUSE(seconds):
                await self._pass_time(seconds)
            case DUPLICATE(back, topic):
                records = self.log.records(topic)
                if back < len(records):
                    await self._deliver(self.active, records[-1 - back])
            case REBALANCE():
                await self._rebalance(item)
            case _:
                self._remember(item)

    def _remember(self, item: Item) -> None:
        """Store an item that is about the next record."""
        match item:
            case SKIP():
                self._skip = True
            case LATE():
                self._waiting_for = 2
            case TOGETHER():
                self._waiting_for = -2
            case MEANWHILE():
                self._meanwhile = True
            case _:
                raise TypeError(f"{item!r} is not an item of a script.")

    # -- delivery ----------------------------------------------------------------------------------------------------

    async def _arrive(self, record: Record) -> None:
        """Deliver a new record, unless an item before it changes that."""
        if self._skip:
            self._skip = False
            return
        if self._waiting_for:
            self._late.append(record)
            if len(self._late) < abs(self._waiting_for):
                return
            records, together = self._late[::-1], self._waiting_for < 0
            self._late, self._waiting_for = [], 0
            if together:
                await self._deliver(self.active, *records)
                return
        else:
            records = [record]
        for each in records:
            zombie, self.zombie = self.zombie, None
            if zombie is not None and self._zombie_first:
                await self._deliver(zombie, each)
            await self._deliver(self.active, each)
            if zombie is not None:
                if not self._zombie_first:
                    await self._deliver(zombie, each)
                await self._step_down(zombie)
        await self._deliver_commands()

    async def _deliver_commands(self) -> None:
        """Deliver the worker's own commands to it."""
        for record in self.log.records("seed-commands")[self._commands_delivered :]:
            self._commands_delivered += 1
            await self._deliver(self.active, record)

    async def _deliver(self, process: Process, *records: Record) -> None:
        try:
            tick, self._meanwhile = self._meanwhile, False
            for record in await process.deliver(*records, tick=tick):
                self._committed[record.topic] = max(self._committed[record.topic], record.offset + 1)
        except (Crash, Outage):
            await self._died(process)

    async def _pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        while self._ticked + CATCH_UP_S <= self.clock.now:
            self._ticked += CATCH_UP_S
            try:
                await self.active.tick()
            except (Crash, Outage):
                await self._died(self.active)
        self.active.land()

    # -- processes ---------------------------------------------------------------------------------------------------

    def _at(self, point: str) -> None:
        if not self._ending:
            self.reached.append(point)
        for armed in self._armed:
            crash, left = armed
            if crash.at == point:
                left[0] -= 1
                if left[0] == 0:
                    self._armed.remove(armed)
                    self._died_of = crash
                    raise crash.error(point)

    def _new(self) -> Process:
        return Process(self.log, self.changelogs, self._at, self.settings)

    async def _take_over(self, process: Process | None) -> None:
        """Assign the partitions to this process or a new one, and to further ones while they die in recovery."""
        while True:
            self.active = process or self._new()
            try:
                await self.active.take_over()
                return
            except (Crash, Outage):
                self._bury(self.active)
                process = None

    async def _died(self, process: Process) -> None:
        passed = self._died_of.passed
        self._bury(process)
        if process is not self.active:
            return
        heir, self.standby = self.standby, None
        await self._take_over(heir)
        await self._deliver_again(passed)

    def _bury(self, process: Process) -> None:
        crash = self._died_of
        self.died.append(crash.at)
        process.producer.die(
            {"none": lambda _: False, "all": lambda _: True, "even": lambda p: p % 2 == 0}[crash.spare]
        )
        process.land(crash.lost)
        if process is self.standby:
            self.standby = None

    async def _deliver_again(self, passed: bool) -> None:
        process = self.active
        for topic in DELIVERED:
            start = len(self.log.records(topic)) if passed else self._committed[topic]
            for record in self.log.records(topic)[start:]:
                if process is not self.active:
                    return  # it died, and its successor was given the rest
                await self._deliver(process, record)

    async def _rebalance(self, item: REBALANCE) -> None:
        old, new = self.active, self.standby or self._new()
        if new is not self.standby:
            await new.recover()  # it joins as a standby
        self.standby = None
        if not item.zombie:
            await old.revoke()
        old.land(item.lag)
        await self._take_over(new)
        if item.zombie:
            self.zombie, self._zombie_first = old, item.zombie == "first"
        else:
            await self._step_down(old)
        await self._deliver_again(passed=False)

    async def _step_down(self, process: Process) -> None:
        """Revoke a process's partitions; its pending table writes reach the changelogs."""
        await process.revoke()
        process.land()
        if self.standby is None:
            self.standby = process

    async def _finish(self) -> None:
        """Give the worker time to finish; then replace it once more, so that its successor repairs the tables."""
        self._skip, self._waiting_for, self._ending = False, 0, True
        await self._pass_time(20 * CATCH_UP_S)
        self._armed.clear()
        if self.zombie is not None:
            await self._step_down(self.zombie)
        await self._pass_time(20 * CATCH_UP_S)
        self.standby = None
        self.before_end = {name: dict(table) for name, table in self.active.app.tables.items()}
        await self._take_over(None)
        await self._pass_time(2 * CATCH_UP_S)

    # -- what came of it ---------------------------------------------------------------------------------------------

    def as_undisturbed(self) -> "Stream":
        """Assert that log, tables and changelogs equal those of one undisturbed pass of the core."""
        with fits_once():
            whole, found, audited = undisturbed(self.log), on_log(self.log), audit(self.log)
        expected = whole.effects
        assert found.rejected == expected.rejected
        assert found.kept == expected.kept
        assert found.classifiers == expected.classifiers
        assert found.commands == expected.commands
        assert audited.divergences == 0, audited.first
        assert audited.undecided == 0
        self.active.land()
        tables = {
            "kept": {str(offset).encode(): value for offset, value in whole.decisions.items()},
            "scores": {id.encode(): msgspec.json.encode(score) for id, score in whole.state.scores.items()},
            "seeds": seed_entries(whole.pool),
        }
        for name, table in tables.items():
            assert self.before_end[name] == table, f"the {name} table while the worker ran"
            assert dict(self.active.app.tables[name]) == table, f"the {name} table after one more start"
            assert self.changelogs.table(name) == table, f"the changelog of the {name} table"
        return self


@lru_cache(maxsize=2000)
def _fit(
    texts: tuple[str, ...], policy: Policy, sizes: tuple[int, ...] | None, embedder: Embedder | None
) -> Classifier:
    return cluster_fit.fit(texts, policy, sizes, embedder)


@contextmanager
def fits_once() -> Iterator[None]:
    """Cache classifier fits, which take most of the time."""

    def fit(
        texts: Sequence[str], policy: Policy, sizes: Sequence[int] | None = None, embedder: Embedder | None = None
    ) -> Classifier:
        return _fit(tuple(texts), policy, None if sizes is None else tuple(sizes), embedder)

    with patch.object(refits, "fit", fit):
        yield
