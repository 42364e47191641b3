"""The feedback agent and the seeds agent: one command for each training window, and the seed pool.

The pool changes only by commands on `seed-commands`. The feedback agent writes a window's command, and lets the seeds
agent apply the log up to it before the next window. So every reader of the commands has the same pool. Should two
workers ever write a command for the same window, all readers use the first.
"""

import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionJudged, ReplaceSeeds, RunConfigured, TrainingLogged
from schemas.seeds import SeedTask
from streams.core.answering import answered_rows
from streams.core.feedback import answer, needed_offset
from streams.core.judging import FirstJudge
from streams.core.seeds import SeedPool
from streams.worker.answered import AnsweredReader
from streams.worker.cursor import Cursor
from streams.worker.filter import FilterAgent
from streams.worker.outlet import Outgoing, Outlet

logger = logging.getLogger(__name__)

Table = Any  # faust.Table has no types


class SeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A seed in the seeds table: its task, and from when to when it is in the pool (offsets of `seed-commands`)."""

    task: SeedTask
    since_offset: int
    until_offset: int | None
    offset: int


class SeedTable:
    """The pool, and the seeds table that mirrors it: seed id -> SeedEntry, as JSON."""

    def __init__(self, configured: RunConfigured, outlet: Outlet, table: Table) -> None:
        self.pool = SeedPool.of(configured.seeds)
        self.as_of_offset = -1  # the newest `as_of_offset` of all commands so far
        self._outlet = outlet
        self._table = table

    async def apply(self, record: Record) -> None:
        """Apply one record of `seed-commands`. After a start all records come again, unreadable ones too."""
        if await self._outlet.evaluate_or_dead_letter(record, ReplaceSeeds, self._apply):
            self.write()
        self.pool.commands_offset = record.offset

    def _apply(self, record: Record, command: ReplaceSeeds) -> bool:
        self.as_of_offset = max(self.as_of_offset, command.as_of_offset)
        return self.pool.apply(command, record.offset)

    def write(self) -> None:
        """Write the table's entries that differ from the pool."""
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
    """The scores of the run's first judge. They have no table: a new worker reads all of `judged`."""

    def __init__(self, outlet: Outlet) -> None:
        self.judge = FirstJudge()
        self._outlet = outlet

    async def apply(self, record: Record) -> None:
        """Apply one record of `judged`."""
        event = await self._outlet.evaluate_or_dead_letter(record, InstructionJudged, lambda _, event: event)
        self.judge.apply(event, record.offset)


@dataclass
class FeedbackAgent:
    """Answers training windows, each once, in the order of `training-log`.

    judged     the judge's scores and their cursor, if the policy has a `candidate_min_score`
    answered   the rows with their answers, in a run that answers kept instructions alone
    """

    configured: RunConfigured
    outlet: Outlet
    filter: FilterAgent
    seeds: SeedTable
    filter_cursor: Cursor
    seeds_cursor: Cursor
    judged: tuple[JudgedRows, Cursor] | None = None
    answered: AnsweredReader | None = None

    async def apply(self, record: Record) -> None:
        """Answer one record of `training-log`, unless its window was answered before."""
        if isinstance(record.event, TrainingLogged):
            # After a restart this worker may have to decide again on rows that are trained already; and scores must
            # not be older than those of an earlier command.
            await self.filter_cursor.catch_up(max(needed_offset(record.event), self.seeds.as_of_offset))
            if self.judged is not None:
                await self.judged[1].catch_up()  # it uses the scores there are now, and waits for no more
            if self.answered is not None and not self._is_passed(record.event):
                await self.answered.read_for(record.event)
        await self.filter_cursor.settle()  # amid a block the filter's state is ahead of the log
        self.filter.require_whole()
        command = await self.outlet.evaluate_or_dead_letter(record, TrainingLogged, self._answer)
        if command is None:
            return
        window = ids.window_id(command.epoch, command.window)
        offsets = await self.outlet.write(
            [Outgoing(command, window, ids.command_id(record.offset), causation_id=record.id)]
        )
        await self.seeds_cursor.catch_up(offsets[-1])
        logger.info("window %d: %s, %d seeds replaced", command.window, command.outcome, len(command.replacements))

    def _is_passed(self, window: TrainingLogged) -> bool:
        """Whether a window gets no command from now on."""
        return not self.configured.policy.feedback or (window.epoch, window.window) in self.seeds.pool.windows

    def _answer(self, record: Record, window: TrainingLogged) -> ReplaceSeeds | None:
        policy = self.configured.policy
        if self._is_passed(window):
            return None
        state, judge = self.filter.state, self.judged[0].judge if self.judged else FirstJudge()
        kept = state.kept if self.answered is None else answered_rows(window, state.kept, self.answered.rows)
        return answer(
            policy,
            self.seeds.pool,
            state.scores,
            kept,
            window,
            training_offset=record.offset,
            as_of_offset=state.applied,
            judge=judge,
            judged_offset=judge.offset,
        )
