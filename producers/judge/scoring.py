"""A judge at work: several kept rows are scored at once, and judgements are written in the order of the rows
(`producers.calls.ordered_work`).

If no score can be read from an answer, it is asked for again as the next step of the same judgement.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.metrics.declared import ROWS_JUDGED
from infra.metrics.meters import meters
from producers.backends.base import Sampling
from producers.calls.answered_rows import RowsInOrder
from producers.calls.ask_again import ask_until_read
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import total_cost
from producers.calls.kept_rows import READ_ROWS, OnRows
from producers.calls.ordered_work import FinishedItem, OrderedWork
from producers.calls.queue_position import QueuePosition, ReachedPosition
from producers.calls.refusals import Refusals
from producers.judge.progress import JudgeProgress
from producers.prompts import judge as prompts
from schemas import ids
from schemas.events import Event, InstructionJudged, InstructionKept, Judge
from streams.core.judging import SCALE, score_of
from streams.core.parse.answers import READING

OnJudged = Callable[[InstructionJudged], None]
_SAMPLE_DIGITS = 8  # of a row's id, which is a hash


@dataclass(frozen=True)
class RowSample:
    """Which rows are judged: this share of them, chosen by id, and of these the first `limit`; None: all."""

    sample: float | None = None
    limit: int | None = None

    def includes(self, row: InstructionKept) -> bool:
        """Whether the share includes this row; a larger share includes all rows of a smaller one."""
        return self.sample is None or int(row.id[:_SAMPLE_DIGITS], 16) < self.sample * 16**_SAMPLE_DIGITS


@dataclass(frozen=True)
class RowJudge:
    """Who judges rows, and how.

    attempts   how often a score is asked for until one can be read
    """

    judge: Judge
    rubric: prompts.Rubric
    completion: bool
    sampling: Sampling
    attempts: int
    refusals: Refusals = field(default_factory=Refusals)


@dataclass(frozen=True)
class RowItem:
    """A row to judge, as an item of ordered work. It takes the next free number of the judge's lane."""

    row: InstructionKept
    row_judge: RowJudge
    number: None = None

    @property
    def id(self) -> str:
        return ids.judgement_id(self.row.id, self.row_judge.judge.name)

    @property
    def causation_id(self) -> str:
        return self.row.id

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        row, by = self.row, self.row_judge
        read = await ask_until_read(
            cause,
            caller,
            lambda step: prompts.request(
                row, by.rubric, completion=by.completion, again=step > 0, sampling=by.sampling
            ),
            lambda answer: score_of(answer, SCALE, reading=READING),
            attempts=by.attempts,
            refusals=by.refusals,
        )
        event = InstructionJudged(
            kept_id=row.id,
            generated_offset=row.generated_offset,
            place=row.place,
            cluster=row.cluster,
            judge=by.judge,
            scale=SCALE,
            score=read.value,
            reason=read.reason,
            answers=read.answers,
            reading=READING,
            cost_usd=total_cost(read.answers),
        )
        return FinishedItem(event, row.id, self.id, read.causation_id)


@dataclass
class RowQueue:
    """The rows to judge, in order; `until_end`: it ends with the rows that there are now, instead of waiting.

    ended   no further row comes
    """

    rows: RowsInOrder
    row_judge: RowJudge
    sample: RowSample
    until_end: bool
    on_rows: OnRows = lambda done, of: None
    ended: bool = False
    _read: "deque[InstructionKept]" = field(default_factory=deque)
    _processed: int = 0
    _included: int = 0
    _all_read: bool = False
    _reached: ReachedPosition = field(default_factory=ReachedPosition)

    def reached(self, items: int) -> QueuePosition | None:
        """The last position that is known to be after so many of the items that it gave."""
        return self._reached.finished(items)

    def go_on(self, position: QueuePosition | None) -> None:
        """Begin at a position of an earlier queue of the same rows; at the first row for None or another queue's."""
        if position is not None and position.of == self._of:
            self._processed, self._included = position.processed, position.taken
            self.rows.go_on(position.rows)

    @property
    def _of(self) -> str:
        return f"sample {self.sample.sample}, limit {self.sample.limit}"

    async def next(self) -> RowItem | None:
        """The next row of the sample; None: there is none now."""
        while not self.ended:
            if not self._read and not self._all_read:
                self._reached.mark(QueuePosition(self._of, self._processed, self._included, self.rows.position()))
                self._read.extend(await asyncio.to_thread(self.rows.take, READ_ROWS))
                self._all_read = self.until_end and len(self._read) < READ_ROWS
            if not self._read:
                self.ended = self._all_read
                return None
            row = self._read.popleft()
            self._processed += 1
            self.on_rows(self._processed, self.rows.total)
            if self.sample.includes(row):
                self._included += 1
                self._reached.given += 1
                self.ended = self._included == self.sample.limit
                return RowItem(row, self.row_judge)
        return None


class JudgeWorker(OrderedWork):
    """The main loop of a judge. `unreadable`: judgements written without a score."""

    def __init__(
        self,
        queue: RowQueue,
        caller: Caller,
        progress: JudgeProgress,
        *,
        in_flight: int,
        on_judged: OnJudged | None = None,
    ) -> None:
        super().__init__(queue, caller, progress, in_flight=in_flight, on_written=self._count)
        self.unreadable = 0
        self._on_judged = on_judged

    def _count(self, event: Event) -> None:
        if not isinstance(event, InstructionJudged):
            return
        self.unreadable += event.score is None
        meters().add(ROWS_JUDGED, 1, "scored" if event.score is not None else "unreadable")
        if self._on_judged is not None:
            self._on_judged(event)
