"""A judge at work: kept rows in their order, several asked about at once, judgements written in the order of the rows.

A row's requests are named by the row and the judge, so that whoever starts again finds the answers that are there. The
lane of the ledger needs numbers that go up besides: a row gets the next one when it is begun, and whoever begins it
again gives it the number that the ledger has for it. Nothing depends on which it is.

An answer that no score can be read from is asked for again, as the next step of the same judgement. One that is ready
before its turn waits in memory; should the process die, its answers are on the ledger.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from producers.backends.base import Backend, RequestRefused, Sampling
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.refusals import Refusals
from producers.calls.stop_signals import StopSignals
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
"""Told how many kept rows were gone through, of how many."""

_LOOK_S = 0.5  # between two looks at the log when there is nothing to begin
_AHEAD = 4  # times the calls at once: what is ready and waits for one that is slow is held in memory
_AT_ONCE = 500  # rows read at a time
_SAMPLE_DIGITS = 8  # of a row's id, which a hash made


@dataclass(frozen=True)
class RowSample:
    """Which rows are judged: this share of them, chosen by their ids, and of these the first so many; None for all."""

    sample: float | None = None
    limit: int | None = None

    def draws(self, row: InstructionKept) -> bool:
        """Whether the sample has this row; a larger sample has all rows of a smaller one."""
        return self.sample is None or int(row.id[:_SAMPLE_DIGITS], 16) < self.sample * 16**_SAMPLE_DIGITS


@dataclass
class JudgeWorker:
    """The state of a judge at work.

    asks      how often a row is asked about until there is an answer that can be read
    pending   rows that were begun and are not written
    """

    judge: Judge
    rubric: prompts.Rubric
    completion: bool
    sampling: Sampling
    asks: int
    choice: RowSample
    until_end: bool
    in_flight: int
    rows: KeptRows
    progress: JudgeProgress
    caller: Caller
    backend: Backend
    on_judged: OnJudged | None = None
    on_rows: OnRows = lambda done, of: None
    pending: "deque[tuple[InstructionKept, asyncio.Task[tuple[InstructionJudged, str]]]]" = field(default_factory=deque)
    judged: int = 0
    unreadable: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    error: BaseException | None = None
    at_once: bool = False
    _read: "deque[InstructionKept]" = field(default_factory=deque)
    _gone_through: int = 0
    _drawn: int = 0
    _next_number: int = 0
    _last: bool = False  # nothing more is read
    _ended: bool = False  # nothing more is begun

    async def run(self) -> None:
        """Judge until the rows, a limit or a signal ends it; what is under way then is finished and written."""
        self._next_number = self.progress.next_free
        try:
            with StopSignals(self.caller.halt) as signals:
                try:
                    await self._work()
                except asyncio.CancelledError:
                    if not signals.received:
                        raise
                    self.at_once = True
        finally:
            with suppress(asyncio.CancelledError):
                await self.backend.close()
        if self.error is not None:
            raise self.error

    async def _work(self) -> None:
        try:
            while self.error is None:
                if self.caller.halted is None and not self._ended:
                    await self._begin()
                if self.pending:
                    await asyncio.wait([self.pending[0][1]], timeout=_LOOK_S)
                    if not await self._write_ready():
                        break
                elif self._ended or self.caller.halted is not None:
                    break
                else:
                    await self.caller.rest(_LOOK_S)
            # What is under way ends, so that its answers are on the ledger.
            await asyncio.gather(*(task for _, task in self.pending), return_exceptions=True)
        finally:
            for _, task in self.pending:
                task.cancel()
            await asyncio.gather(*(task for _, task in self.pending), return_exceptions=True)

    async def _begin(self) -> None:
        """Begin rows that are to be judged and were not, as many as there is room for."""
        most = min(_AHEAD * self.in_flight, WINDOW - 1)
        while len(self.pending) < most and not self._ended and self.caller.halted is None:
            if not self._read and not self._last:
                self._read.extend(await asyncio.to_thread(self.rows.take, _AT_ONCE))
                self._last = self.until_end and len(self._read) < _AT_ONCE
            if not self._read:
                self._ended = self._last
                return
            row = self._read.popleft()
            self._gone_through += 1
            self.on_rows(self._gone_through, self.rows.total)
            if not self.choice.draws(row):
                continue
            self._drawn += 1
            self._ended = self._drawn == self.choice.limit
            cause = await self.caller.look(lambda _, row=row: self._cause(row))  # type: ignore[misc]
            if cause is not None:
                self.pending.append((row, asyncio.create_task(self._judge(row, cause))))

    def _cause(self, row: InstructionKept) -> CallCause | None:
        """What the row's calls are made for; None when it is judged."""
        id = ids.judgement_id(row.id, self.judge.name)
        if id in self.progress.done:
            return None
        number = self.progress.number_of(id)
        if number is None:
            number = self._next_number
            self._next_number += 1
        return CallCause(self.progress.lane, number, id, row.id)

    async def _judge(self, row: InstructionKept, cause: CallCause) -> tuple[InstructionJudged, str]:
        """The judgement of a row, and the id of the event that it follows from."""
        answers: list[CallAnswered] = []
        score, reason = None, ""
        causation_id = row.id
        try:
            while score is None and len(answers) < self.asks:
                step = len(answers)
                request = prompts.request(
                    row, self.rubric, completion=self.completion, again=step > 0, sampling=self.sampling
                )
                answer = await self.caller.ask(cause, step, request)
                answers.append(answer)
                causation_id = ids.child(answer.request_id, f"answered/{answer.attempt}")
                score, reason = score_of(answer, SCALE, reading=READING)
            self.refusals.answered()
        except RequestRefused as refusal:
            # This row will never be judged, but the next ones may; if they are not either, it is not the rows.
            if self.refusals.too_many(refusal):
                raise
            reason, causation_id = f"refused: {refusal}", refusal.event_id or causation_id
        costs = [answer.cost_usd for answer in answers]
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
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        )
        return event, causation_id

    async def _write_ready(self) -> bool:
        """Write what is ready and has its turn. False when a row will not be judged now: then those behind it wait."""
        ready: list[tuple[InstructionJudged, str]] = []
        whole = True
        while self.pending and self.pending[0][1].done():
            task = self.pending[0][1]
            failure = task.exception()
            if failure is not None:
                whole = False
                if not isinstance(failure, CallsHalted):
                    self.error = failure
                    self.caller.halt(f"an error: {failure}")
                break
            self.pending.popleft()
            ready.append(task.result())
        await asyncio.gather(*(self._write(event, causation_id) for event, causation_id in ready))
        return whole

    async def _write(self, event: InstructionJudged, causation_id: str) -> None:
        id = ids.judgement_id(event.kept_id, event.judge.name)
        await self.caller.write(event, key=event.kept_id, id=id, causation_id=causation_id)
        self.judged += 1
        self.unreadable += event.score is None
        if self.on_judged is not None:
            self.on_judged(event)
