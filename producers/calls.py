"""Asking an LLM with the ledger in between: every attempt is on the log before it is made, every outcome right after.

`Caller.ask` gives a request's answer: from the ledger if it was answered before, else by attempts, with pauses between
them (`producers.retries`). Requests wait for their turn in the order of their generations. Whenever the pace allows
some to begin (`producers.pace`), all of these take one turn: the log is read up to its end once, limits are decided,
and their starts are written and confirmed together; so the log costs a turn and not a call. An answer is on the log
before the caller sees it. A crash between an attempt's start and its outcome leaves a start without outcome, which the
ledger counts as lost.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from infra.log import LogWriter
from producers.backends.base import (
    Answer,
    Backend,
    CallFailure,
    EndpointRefused,
    Place,
    Request,
    RequestRefused,
    Transient,
)
from producers.confirming import Confirming
from producers.pace import Pace, Ticket
from producers.progress import Progress
from producers.retries import Retries
from producers.worst import Asked, Prices, Worst, larger, worst_case
from schemas import ids
from schemas.errors import RunError
from schemas.events import CallAnswered, CallFailed, CallStarted, Event, KeptShown

T = TypeVar("T")


class Halted(Exception):
    """No further call is made: a limit is reached, or the generator is stopping. Not an error."""


@dataclass(frozen=True)
class Cause:
    """The generation that calls are made for, and the event that settled which seeds it shows."""

    lane: str
    number: int
    generation_id: str
    causation_id: str
    kept_shown: KeptShown | None = None


@dataclass(frozen=True)
class Begun:
    """An attempt that is on the log and is to be made now."""

    attempt: int
    ticket: Ticket


@dataclass(order=True)
class _Waiting:
    """A request that waits for its turn; those of the oldest generation come first."""

    number: int
    step: int
    at: int
    cause: Cause = field(compare=False)
    request_id: str = field(compare=False)
    worst: Worst = field(compare=False)
    turn: "asyncio.Future[Begun | CallAnswered]" = field(compare=False)


class Caller:
    """Makes a lane's calls, as fast as `pace` lets them."""

    def __init__(
        self,
        *,
        backend: Backend,
        writer: LogWriter,
        refresh: Callable[[], Progress],
        may_call: Callable[[Progress, Asked], str | None],
        prices: Prices,
        retries: Retries,
        pace: Pace,
        known: Progress,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._log = Confirming(writer)
        self._refresh = refresh
        self._may_call = may_call
        self._prices = prices
        self._retries = retries
        self._pace = pace
        self._known = known
        self._rng = rng or random.Random()
        self._clock = clock
        self._attempts = known.attempts()
        self._turn = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._stirred = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._order = count()
        self._pump: asyncio.Task[None] | None = None
        self._under_way: dict[str, Worst] = {}  # requests that were begun, until they are answered or given up
        self._failed: set[str] = set()  # of these, those that are to be attempted again
        self._active = 0  # of these, those that come back by themselves, and do not wait for their turn
        self._largest = Worst(0, 0.0)
        self._answers = 0
        self.halted: str | None = None
        self.started = 0

    def halt(self, reason: str) -> None:
        """Make no further call. The first reason counts."""
        if self.halted is None:
            self.halted = reason
            self._stopped.set()
            self._stirred.set()

    async def progress(self) -> Progress:
        """What is on the log now."""
        async with self._turn:
            return await asyncio.to_thread(self._refresh)

    async def look(self, at: Callable[[Progress], T]) -> T:
        """Something of what was last read, while no other thread is reading."""
        async with self._turn:
            return at(self._known)

    async def rest(self, seconds: float) -> None:
        """Wait, but not past `halt`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass

    async def ask(self, cause: Cause, step: int, request: Request) -> CallAnswered:
        """The answer to the step-th request of a generation, paid for once.

        Raises Halted when no call may be made, the last CallFailure when the request fails for good.
        """
        request_id = ids.request_id(cause.generation_id, step)
        worst = worst_case(request, self._prices)
        self._largest = larger(self._largest, worst)
        failures, answers = 0, self._answers
        try:
            while True:
                begun = await self._turn_of(cause, step, request_id, worst)
                if isinstance(begun, CallAnswered):
                    return begun
                place = Place(cause.lane, cause.number, step, begun.attempt, request_id)
                try:
                    outcome = await self._make(place, request, begun.ticket)
                    if isinstance(outcome, Answer):
                        return await self._answer(place, outcome)
                    # A probe is made to learn of the endpoint, and tells little of the request.
                    failures += not (begun.ticket.probe and self._retries.forever)
                    again = self._again(outcome, failures, others=self._answers > answers)
                    event_id = await self._fail(place, outcome, again)
                    if not again:
                        self._attempts.pop(request_id, None)
                        final = self._final(outcome, failures)
                        final.event_id = event_id
                        raise final from outcome
                    self._failed.add(request_id)
                    await self.rest(self._retries.pause(max(1, failures), outcome, self._rng))
                finally:
                    self._active -= 1
        finally:
            self._under_way.pop(request_id, None)
            self._failed.discard(request_id)
            self._stirred.set()

    async def write(self, event: Event, *, key: str, id: str, causation_id: str) -> None:
        """Write an event; returns when the cluster has it. Cancelled, it is written none the less."""
        await self._log.write(event, key=key, id=id, causation_id=causation_id)

    async def _make(self, place: Place, request: Request, ticket: Ticket) -> Answer | CallFailure:
        """Make the attempt; the next may begin when it has ended, before its outcome is on the log."""
        outcome: Answer | CallFailure | None = None
        try:
            outcome = await self._backend.complete(request, place)
        except CallFailure as failure:
            outcome = failure
        finally:
            self._pace.end(ticket, outcome, self._clock())
            self._stirred.set()
        return outcome

    async def _turn_of(self, cause: Cause, step: int, request_id: str, worst: Worst) -> Begun | CallAnswered:
        """Wait until an attempt may be made and is on the log; or the answer that is there already."""
        turn: asyncio.Future[Begun | CallAnswered] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, _Waiting(cause.number, step, next(self._order), cause, request_id, worst, turn))
        self._stirred.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._give_turns())
        return await turn

    async def _give_turns(self) -> None:
        """Begin what waits, as long as something does."""
        try:
            while self._waiting:
                self._stirred.clear()
                if self.halted is not None:
                    self._refuse(Halted(self.halted))
                    return
                admitted, wait_s = self._admitted()
                if not admitted or not await self._begin(admitted):
                    await self._stir(wait_s if not admitted else None)
        except Exception as error:  # noqa: BLE001 - those who wait for their turn are told
            self._refuse(error)

    async def _stir(self, wait_s: float | None) -> None:
        """Wait until something has happened, or the time is over."""
        try:
            async with asyncio.timeout(wait_s):
                await self._stirred.wait()
        except TimeoutError:
            pass

    def _refuse(self, error: Exception) -> None:
        while self._waiting:
            turn = heappop(self._waiting).turn
            if not turn.done():
                turn.set_exception(error)

    def _admitted(self) -> tuple[list[tuple[_Waiting, Ticket]], float | None]:
        """Those that the pace lets begin now, and the seconds until the next; None: until something happens."""
        admitted = []
        wait_s: float | None = None
        while self._waiting:
            now, first = self._clock(), self._waiting[0]
            if first.turn.done():
                heappop(self._waiting)
                continue
            tokens = first.worst.tokens or 0
            wait_s = self._pace.wait_s(tokens, now)
            if wait_s != 0.0:
                break
            admitted.append((heappop(self._waiting), self._pace.begin(tokens, now)))
        return admitted, wait_s

    async def _begin(self, admitted: list[tuple[_Waiting, Ticket]]) -> bool:
        """Take a turn: put their next attempts on the log, if they may be made. False when all must wait for others."""
        begun: list[tuple[_Waiting, Begun]] = []
        later: list[_Waiting] = []
        async with self._turn:
            try:
                progress = await asyncio.to_thread(self._refresh)
                for waiting, ticket in admitted:
                    if later or not self._may_begin(progress, waiting, [w.worst for w, _ in begun], later):
                        self._pace.abandon(ticket)
                        if waiting not in later and not waiting.turn.done():
                            later.append(waiting)
                        continue
                    begun.append((waiting, Begun(progress.next_attempt(waiting.request_id), ticket)))
                await asyncio.gather(*(self._announce(waiting, begin) for waiting, begin in begun))
            except Exception as error:  # noqa: BLE001 - those whose turn it is are told
                for waiting, ticket in admitted:
                    if not waiting.turn.done():
                        if waiting not in later:
                            self._pace.abandon(ticket)
                        waiting.turn.set_exception(error)
                return True
        for waiting in later:
            heappush(self._waiting, waiting)
        return bool(begun) or not later

    def _may_begin(self, progress: Progress, waiting: _Waiting, together: list[Worst], later: list[_Waiting]) -> bool:
        """Whether an attempt may be made now. If not, its turn is answered, or it is put with those that come later."""
        if waiting.turn.done():
            return False
        try:
            self._check_alone(progress, waiting.cause, waiting.request_id)
        except RunError as error:
            waiting.turn.set_exception(error)
            return False
        answered = progress.answers.get(waiting.request_id)
        if answered is not None:
            self._attempts.pop(waiting.request_id, None)
            waiting.turn.set_result(answered)
            return False
        again = waiting.request_id in self._under_way
        aside = self._failed if again else {waiting.request_id}
        others = [worst for id, worst in self._under_way.items() if id not in aside]
        asked = Asked(waiting.worst, again, others, together, self._largest)
        reason = None if self.halted is not None else self._may_call(progress, asked)
        if reason is not None and (together or self._active):
            later.append(waiting)  # what is under way may take less than its worst case
            return False
        if reason is not None:
            self.halt(reason)
        if self.halted is not None:
            waiting.turn.set_exception(Halted(self.halted))
            return False
        return True

    async def _announce(self, waiting: _Waiting, begun: Begun) -> None:
        """Put an attempt on the log, and let it be made."""
        cause, request_id, attempt = waiting.cause, waiting.request_id, begun.attempt
        started = CallStarted(
            request_id=request_id,
            attempt=attempt,
            generation_id=cause.generation_id,
            lane=cause.lane,
            number=cause.number,
            step=waiting.step,
            backend=self._backend.name,
            model=self._backend.model,
            kept_shown=cause.kept_shown,
        )
        id = ids.child(request_id, f"started/{attempt}")
        await self.write(started, key=request_id, id=id, causation_id=cause.causation_id)
        self._attempts[request_id] = attempt
        self.started += 1
        if waiting.turn.done():  # whoever waited was cancelled
            self._pace.end(begun.ticket, None, self._clock())
        else:
            self._under_way[request_id] = waiting.worst
            self._failed.discard(request_id)
            self._active += 1
            waiting.turn.set_result(begun)

    def _check_alone(self, progress: Progress, cause: Cause, request_id: str) -> None:
        mine = self._attempts.get(request_id, 0)
        if cause.number < progress.next_number or progress.next_attempt(request_id) != mine + 1:
            raise RunError(
                f"Lane {cause.lane!r} is also written by another generator: generation {cause.number} has calls that "
                "were not made here. Stop one of them, or give this one its own --lane."
            )

    async def _answer(self, place: Place, answer: Answer) -> CallAnswered:
        event = CallAnswered(
            request_id=place.request_id,
            attempt=place.attempt,
            model=answer.model,
            raw=answer.raw,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            cost_usd=self._prices.cost(answer.usage),
            latency_s=answer.latency_s,
        )
        await self._outcome(place, event, "answered")
        self._attempts.pop(place.request_id, None)
        self._answers += 1
        return event

    async def _fail(self, place: Place, failure: CallFailure, again: bool) -> str:
        event = CallFailed(
            request_id=place.request_id,
            attempt=place.attempt,
            error=str(failure),
            status=failure.status,
            retry=again,
        )
        return await self._outcome(place, event, "failed")

    async def _outcome(self, place: Place, event: Event, name: str) -> str:
        started = ids.child(place.request_id, f"started/{place.attempt}")
        id = ids.child(place.request_id, f"{name}/{place.attempt}")
        await self.write(event, key=place.request_id, id=id, causation_id=started)
        return id

    def _again(self, failure: CallFailure, failures: int, *, others: bool) -> bool:
        """Whether another attempt is made; `others`: requests that were answered since this one was first asked."""
        if not failure.retryable:
            return False
        if self._retries.forever:
            return failures < self._retries.attempts or not others or self._pace.breaker.open
        asked_s = failure.retry_after_s or 0.0
        used_up = max(failures, self._pace.breaker.failed_probes) >= self._retries.attempts
        return not used_up and asked_s <= self._retries.longest_asked_s

    def _final(self, failure: CallFailure, failures: int) -> CallFailure:
        if not isinstance(failure, Transient):
            return failure
        if self._retries.forever:
            text = f"{failure} This was attempt {failures}, and other requests were answered meanwhile."
            return RequestRefused(text, status=failure.status)
        if (failure.retry_after_s or 0.0) > self._retries.longest_asked_s:
            text = f"{failure} It asks to wait {failure.retry_after_s:.0f} s: start again then."
            return EndpointRefused(text, status=failure.status)
        text = f"{failure} This was attempt {failures} in a row, the last that is made. Start again to go on."
        return Transient(text, status=failure.status, kind=failure.kind)
