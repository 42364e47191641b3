"""A judge at work: several kept rows are scored at once, and judgements are written in the order of the rows.

A row's requests are named by the row and the judge, so a later start finds the answers on the ledger. The ledger also
needs increasing numbers: a row gets the next one when it is begun, and keeps it over restarts. Nothing depends on it.

If no score can be read from an answer, it is asked for again as the next step of the same judgement. A judgement that
is ready before its turn waits in memory; if the process dies, its answers are on the ledger.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from producers.backends.base import Backend, RequestRefused, Sampling
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.cost import total_cost
from producers.calls.refusals import Refusals
from producers.calls.stop_signals import run_until_stopped
from producers.judge.kept_rows import KeptRows
from producers.judge.progress import JudgeProgress
from producers.prompts import judge as prompts
from schemas import ids
from schemas.events import CallAnswered, InstructionJudged, InstructionKept, Judge
from streams.core.judging import SCALE, score_of
from streams.core.ledger import WINDOW
from streams.core.parse.answers import READING

OnJudged = Callable[[InstructionJudged], None]
OnRows = Callable[[int, int], None]
"""Called with the number of kept rows processed and their total."""

_POLL_S = 0.5  # between two reads of the log when there is nothing to begin
_AHEAD = 4  # times the calls in flight: judgements behind a slow one are held in memory
_READ_ROWS = 500  # rows read at a time
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
    """Judges one row.

    attempts   how often a score is asked for until one can be read
    """

    judge: Judge
    rubric: prompts.Rubric
    completion: bool
    sampling: Sampling
    attempts: int
    refusals: Refusals = field(default_factory=Refusals)

    async def evaluate(self, row: InstructionKept, cause: CallCause, caller: Caller) -> tuple[InstructionJudged, str]:
        """The judgement of a row, and the id of the event that caused it."""
        answers: list[CallAnswered] = []
        score, reason = None, ""
        causation_id = row.id
        try:
            while score is None and len(answers) < self.attempts:
                step = len(answers)
                request = prompts.request(
                    row, self.rubric, completion=self.completion, again=step > 0, sampling=self.sampling
                )
                answer = await caller.ask(cause, step, request)
                answers.append(answer)
                causation_id = ids.child(answer.request_id, f"answered/{answer.attempt}")
                score, reason = score_of(answer, SCALE, reading=READING)
            self.refusals.answered()
        except RequestRefused as refusal:
            # This row will never be judged, but the next ones may be.
            if self.refusals.too_many(refusal):
                raise
            reason, causation_id = f"refused: {refusal}", refusal.event_id or causation_id
        event = InstructionJudged(
            kept_id=row.id,
            generated_offset=row.generated_offset,
            place=row.place,
            cluster=row.cluster,
            judge=self.judge,
            scale=SCALE,
            score=score,
            reason=reason,
            answers=tuple(answers),
            reading=READING,
            cost_usd=total_cost(answers),
        )
        return event, causation_id


@dataclass
class RowQueue:
    """The rows to judge, in order; `until_end`: it ends with the rows that are decided now, instead of waiting.

    ended   no further row comes
    """

    rows: KeptRows
    sample: RowSample
    until_end: bool
    on_rows: OnRows = lambda done, of: None
    ended: bool = False
    _read: "deque[InstructionKept]" = field(default_factory=deque)
    _processed: int = 0
    _included: int = 0
    _all_read: bool = False

    async def next(self) -> InstructionKept | None:
        """The next row of the sample; None: there is none now."""
        while not self.ended:
            if not self._read and not self._all_read:
                self._read.extend(await asyncio.to_thread(self.rows.take, _READ_ROWS))
                self._all_read = self.until_end and len(self._read) < _READ_ROWS
            if not self._read:
                self.ended = self._all_read
                return None
            row = self._read.popleft()
            self._processed += 1
            self.on_rows(self._processed, self.rows.total)
            if self.sample.includes(row):
                self._included += 1
                self.ended = self._included == self.sample.limit
                return row
        return None


class JudgeWorker:
    """The main loop of a judge. `judged`, `unreadable`: judgements written, and those of them without a score."""

    def __init__(
        self,
        row_judge: RowJudge,
        queue: RowQueue,
        caller: Caller,
        progress: JudgeProgress,
        *,
        in_flight: int,
        on_judged: OnJudged | None = None,
    ) -> None:
        self.judged = 0
        self.unreadable = 0
        self.cancelled = False
        self.caller = caller
        self._row_judge = row_judge
        self._queue = queue
        self._progress = progress
        self._most_pending = min(_AHEAD * in_flight, WINDOW - 1)
        self._on_judged = on_judged
        self._pending: deque[asyncio.Task[tuple[InstructionJudged, str]]] = deque()  # in the order of their rows
        self._next_number = progress.next_free
        self._error: BaseException | None = None

    async def run(self, backend: Backend) -> None:
        """Judge until the rows, a limit or a signal ends it. Judgements begun by then are completed and written."""
        self.cancelled = await run_until_stopped(self._work, self.caller.halt, backend)
        if self._error is not None:
            raise self._error

    async def _work(self) -> None:
        try:
            while self._error is None:
                await self._begin()
                if self._pending:
                    await asyncio.wait([self._pending[0]], timeout=_POLL_S)
                    if not await self._write_ready():
                        break
                elif self._queue.ended or self.caller.halted is not None:
                    break
                else:
                    await self.caller.pause(_POLL_S)
            # Calls in flight end, so that their answers are on the ledger.
            await asyncio.gather(*self._pending, return_exceptions=True)
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    async def _begin(self) -> None:
        """Begin rows that are not judged yet, as many as there is room for."""
        while len(self._pending) < self._most_pending and self.caller.halted is None:
            row = await self._queue.next()
            if row is None:
                return
            cause = await self.caller.query(lambda _, row=row: self._cause(row))  # type: ignore[misc]
            if cause is not None:
                self._pending.append(asyncio.create_task(self._row_judge.evaluate(row, cause, self.caller)))

    def _cause(self, row: InstructionKept) -> CallCause | None:
        """The cause of the row's calls; None if the row is judged."""
        id = ids.judgement_id(row.id, self._row_judge.judge.name)
        if id in self._progress.done:
            return None
        number = self._progress.number_of(id)
        if number is None:
            number = self._next_number
            self._next_number += 1
        return CallCause(self._progress.lane, number, id, row.id)

    async def _write_ready(self) -> bool:
        """Write the judgements whose turn it is. False when a row will not be judged now: those behind it wait."""
        ready: list[tuple[InstructionJudged, str]] = []
        failure: BaseException | None = None
        while self._pending and self._pending[0].done():
            failure = self._pending[0].exception()
            if failure is not None:
                break
            ready.append(self._pending.popleft().result())
        if failure is not None and not isinstance(failure, CallsHalted):
            self._error = failure
            self.caller.halt(f"an error: {failure}")
        await asyncio.gather(*(self._write(event, causation_id) for event, causation_id in ready))
        return failure is None

    async def _write(self, event: InstructionJudged, causation_id: str) -> None:
        id = ids.judgement_id(event.kept_id, event.judge.name)
        await self.caller.write(event, key=event.kept_id, id=id, causation_id=causation_id)
        self.judged += 1
        self.unreadable += event.score is None
        if self._on_judged is not None:
            self._on_judged(event)
