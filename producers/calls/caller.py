"""Asking an LLM with the ledger in between: every attempt is on the log before it is made, every outcome right after.

`Caller.ask` gives a request's answer: from the ledger if it was answered before, else by attempts, each in its turn
(`producers.calls.call_scheduler`), with pauses between them (`producers.calls.retries`). An answer is on the log before
the caller sees it (`producers.calls.ledger_events`). A crash between an attempt's start and its outcome leaves a start
without outcome, which the ledger counts as lost. An answer that is larger than `max_answer_bytes`, or than the cluster
takes, is a failed attempt with its usage, and never on the log.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

from infra.log.writer import LogWriter, NotWritable
from producers.backends.base import Answer, Backend, CallFailure, CallPlace, Request, too_large
from producers.calls.call_scheduler import CallScheduler, CallsHalted
from producers.calls.confirming_writer import ConfirmingWriter
from producers.calls.cost import PlannedCall, Prices, worst_case
from producers.calls.ledger_events import CallCause, LedgerEvents
from producers.calls.rate_control import RateControl, Ticket
from producers.calls.retries import Retries
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.events import CallAnswered, Event

__all__ = ["CallCause", "Caller", "CallsHalted"]

T = TypeVar("T")


class Caller:
    """Makes a lane's calls, as fast as `pace` lets them."""

    def __init__(
        self,
        *,
        backend: Backend,
        writer: LogWriter,
        refresh: Callable[[], LaneProgress],
        may_call: Callable[[LaneProgress, PlannedCall], str | None],
        prices: Prices,
        retries: Retries,
        pace: RateControl,
        known: LaneProgress,
        max_answer_bytes: int = 1024 * 1024,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._log = ConfirmingWriter(writer)
        self._prices = prices
        self._retries = retries
        self._pace = pace
        self._max_answer_bytes = max_answer_bytes
        self._rng = rng or random.Random()
        self._clock = clock
        self._answers = 0
        self._events = LedgerEvents(backend, prices, self.write)
        self._turns = CallScheduler(
            events=self._events, refresh=refresh, may_call=may_call, pace=pace, known=known, clock=clock
        )

    @property
    def halted(self) -> str | None:
        """Why no further call is made, None while they are."""
        return self._turns.halted

    @property
    def started(self) -> int:
        """Attempts that were started here."""
        return self._turns.started

    def halt(self, reason: str) -> None:
        """Make no further call. The first reason counts."""
        self._turns.halt(reason)

    async def progress(self) -> LaneProgress:
        """What is on the log now."""
        return await self._turns.progress()

    async def look(self, at: Callable[[LaneProgress], T]) -> T:
        """Something of what was last read, while no other thread is reading."""
        return await self._turns.look(at)

    async def rest(self, seconds: float) -> None:
        """Wait, but not past `halt`."""
        try:
            async with asyncio.timeout(seconds):
                await self._turns.stopped.wait()
        except TimeoutError:
            pass

    async def ask(self, cause: CallCause, step: int, request: Request) -> CallAnswered:
        """The answer to the step-th request of a generation, paid for once.

        Raises Halted when no call may be made, the last CallFailure when the request fails for good.
        """
        request_id = ids.request_id(cause.generation_id, step)
        worst = worst_case(request, self._prices)
        turns, failures, answers = self._turns, 0, self._answers
        try:
            while True:
                begun = await turns.of(cause, step, request_id, worst)
                if isinstance(begun, CallAnswered):
                    return begun
                place = CallPlace(cause.lane, cause.number, step, begun.attempt, request_id)
                try:
                    outcome = await self._make(place, request, begun.ticket)
                    if isinstance(outcome, Answer):
                        try:
                            answered = await self._events.answered(place, outcome)
                        except NotWritable:
                            outcome = too_large(self._max_answer_bytes, _size(outcome), outcome.usage)
                        else:
                            turns.forget(request_id)
                            self._answers += 1
                            return answered
                    # A probe is made to learn of the endpoint, and tells little of the request.
                    failures += not (begun.ticket.probe and self._retries.forever)
                    breaker, others = self._pace.breaker, self._answers > answers
                    again = self._retries.again(outcome, failures, breaker, others=others)
                    event_id = await self._events.failed(place, outcome, again)
                    if not again:
                        turns.forget(request_id)
                        final = self._retries.final(outcome, failures, others=others and not breaker.open)
                        final.event_id = event_id
                        raise final from outcome
                    turns.failed(request_id)
                    await self.rest(self._retries.pause(max(1, failures), outcome, self._rng))
                finally:
                    turns.ended()
        finally:
            turns.settled(request_id)

    async def write(self, event: Event, *, key: str, id: str, causation_id: str) -> None:
        """Write an event; returns when the cluster has it. Cancelled, it is written none the less."""
        await self._log.write(event, key=key, id=id, causation_id=causation_id)

    async def _make(self, place: CallPlace, request: Request, ticket: Ticket) -> Answer | CallFailure:
        """Make the attempt; the next may begin when it has ended, before its outcome is on the log."""
        outcome: Answer | CallFailure | None = None
        try:
            outcome = await self._backend.complete(request, place)
            if (size := _size(outcome)) > self._max_answer_bytes:
                outcome = too_large(self._max_answer_bytes, size, outcome.usage)
        except CallFailure as failure:
            outcome = failure
        finally:
            self._pace.end(ticket, outcome, self._clock())
            self._turns.stir()
        return outcome


def _size(answer: Answer) -> int:
    return len(answer.raw.encode("utf-8", "replace"))
