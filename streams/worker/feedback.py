"""The feedback agent and the seeds agent: a training window in, one command out, and the pool as the log says.

The pool changes only by what lies on `seed-commands`. The feedback agent writes a window's command and then lets the
seeds agent read the log up to it before it looks at the next window. So whoever reads the commands has the same pool,
and of two commands for one window, should two workers ever write them, all take the first.
"""

import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionJudged, ReplaceSeeds, RunConfigured, TrainingLogged
from schemas.seeds import SeedTask
from streams.core.feedback import answer, needed_offset
from streams.core.judging import FirstJudge
from streams.core.seeds import SeedPool
from streams.worker.cursor import Cursor
from streams.worker.filter import FilterAgent
from streams.worker.outlet import Outgoing, Outlet

logger = logging.getLogger(__name__)

Table = Any  # faust.Table has no types


class SeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A seed in the seeds table: the task, since when and until when (offsets of `seed-commands`) it is in the pool."""

    task: SeedTask
    since_offset: int
    until_offset: int | None
    offset: int


class SeedTable:
    """The pool, and the seeds table that shows it: seed id -> SeedEntry, as JSON."""

    def __init__(self, configured: RunConfigured, outlet: Outlet, table: Table) -> None:
        self.pool = SeedPool.of(configured.seeds)
        self.as_of_offset = -1  # last record of `generated` that the scores of any command so far reflect
        self._outlet = outlet
        self._table = table

    async def apply(self, record: Record) -> None:
        """Apply one record of `seed-commands`. After a start the whole topic comes again, unreadable ones too."""
        if await self._outlet.evaluate_or_dead_letter(record, ReplaceSeeds, self._apply):
            self.show()
        self.pool.commands_offset = record.offset

    def _apply(self, record: Record, command: ReplaceSeeds) -> bool:
        self.as_of_offset = max(self.as_of_offset, command.as_of_offset)
        return self.pool.apply(command, record.offset)

    def show(self) -> None:
        """Write the seeds that the table does not hold as the pool has them."""
        entries = [
            SeedEntry(task=s.task, since_offset=s.since_offset, until_offset=None, offset=s.since_offset)
            for s in self.pool.active
        ]
        entries += [
            SeedEntry(task=e.seed.task, since_offset=e.seed.since_offset, until_offset=e.at, offset=e.at)
            for e in self.pool.evicted.values()
        ]
        for entry in entries:
            value = msgspec.json.encode(entry)
            if self._table.get(entry.task.id.encode()) != value:
                self._table[entry.task.id.encode()] = value


class JudgedRows:
    """What the run's first judge made of the rows, as far as `judged` was read. It has no table: a new worker reads it
    all."""

    def __init__(self, outlet: Outlet) -> None:
        self.judge = FirstJudge()
        self._outlet = outlet

    async def apply(self, record: Record) -> None:
        """Take in one record of `judged`."""
        event = await self._outlet.evaluate_or_dead_letter(record, InstructionJudged, lambda _, event: event)
        self.judge.apply(event, record.offset)


@dataclass
class FeedbackAgent:
    """Answers training windows, each once, in the order of `training-log`.

    judged   where the policy has a `candidate_min_score`: the judge's scores, and the cursor that reads them
    """

    configured: RunConfigured
    outlet: Outlet
    filter: FilterAgent
    seeds: SeedTable
    filter_cursor: Cursor
    seeds_cursor: Cursor
    judged: tuple[JudgedRows, Cursor] | None = None

    async def apply(self, record: Record) -> None:
        """Answer one record of `training-log`, unless its window was answered before."""
        if isinstance(record.event, TrainingLogged):
            # a row is trained only after it was kept, but this worker may have to decide on it again first; and scores
            # never go back behind those that an earlier command reflects
            await self.filter_cursor.catch_up(max(needed_offset(record.event), self.seeds.as_of_offset))
            if self.judged is not None:
                await self.judged[1].catch_up()  # the scores there are by now; nothing waits for more
        command = await self.outlet.evaluate_or_dead_letter(record, TrainingLogged, self._answer)
        if command is None:
            return
        window = ids.window_id(command.epoch, command.window)
        offsets = await self.outlet.write(
            [Outgoing(command, window, ids.command_id(record.offset), causation_id=record.id)]
        )
        await self.seeds_cursor.catch_up(offsets[-1])
        logger.info("window %d: %s, %d seeds replaced", command.window, command.outcome, len(command.replacements))

    def _answer(self, record: Record, window: TrainingLogged) -> ReplaceSeeds | None:
        policy = self.configured.policy
        if not policy.feedback or (window.epoch, window.window) in self.seeds.pool.windows:
            return None
        state, judge = self.filter.state, self.judged[0].judge if self.judged else FirstJudge()
        return answer(
            policy, self.seeds.pool, state.scores, state.kept, window, record.offset, state.applied, judge, judge.offset
        )
