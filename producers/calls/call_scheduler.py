"""Turns: when a request's next attempt may be made, and that it is on the log before.

Requests wait for their turn: those that were begun before, by this process or one that died, and then the others, both
in the order of their generations. Whenever the pace allows some to begin (`producers.calls.rate_control`), all of these
take one turn: the log is read up to its end once, limits are decided, and their starts are written and confirmed
together; so the log costs a turn and not a call.

One that does not fit into the limits waits, while others are under way or are to be attempted again: those take less
than their worst case mostly. Only when there is nothing to wait for, all is halted.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from producers.calls.cost import PlannedCall, WorstCase, larger
from producers.calls.ledger_events import CallCause, LedgerEvents
from producers.calls.rate_control import RateControl, Ticket
from producers.generate.progress import LaneProgress
from schemas.errors import RunError
from schemas.events import CallAnswered

T = TypeVar("T")


class CallsHalted(Exception):
    """No further call is made: a limit is reached, or the generator is stopping. Not an error."""


@dataclass(frozen=True)
class BegunCall:
    """An attempt that is on the log and is to be made now."""

    attempt: int
    ticket: Ticket


@dataclass(order=True)
class _Waiting:
    """A request that waits for its turn. Those that were begun before come first, for which money may be kept; among
    them, and among the others, those of the oldest generation, since everything behind it waits for it."""

    first: bool
    number: int
    step: int
    at: int
    cause: CallCause = field(compare=False)
    request_id: str = field(compare=False)
    worst: WorstCase = field(compare=False)
    turn: "asyncio.Future[BegunCall | CallAnswered]" = field(compare=False)


class CallScheduler:
    """Gives turns to the requests of one lane.

    A request is `begun` by a turn. It is `failed` while it is to be attempted again, and `settled` when it is not asked
    any more; whoever made its attempt says `ended` once the attempt has its outcome.
    """

    def __init__(
        self,
        *,
        events: LedgerEvents,
        refresh: Callable[[], LaneProgress],
        may_call: Callable[[LaneProgress, PlannedCall], str | None],
        pace: RateControl,
        known: LaneProgress,
        clock: Callable[[], float],
    ) -> None:
        self._events = events
        self._refresh = refresh
        self._may_call = may_call
        self._pace = pace
        self._known = known
        self._clock = clock
        self._attempts = known.attempts()
        self._reading = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._order = count()
        self._pump: asyncio.Task[None] | None = None
        self._under_way: dict[str, WorstCase] = {}  # requests that were begun, until they are answered or given up
        self._failed: set[str] = set()  # of these, those that are to be attempted again
        self._active = 0  # of these, those that come back by themselves, and do not wait for their turn
        self._largest = WorstCase(0, 0.0)
        self.stopped = asyncio.Event()
        self.halted: str | None = None
        self.started = 0

    def halt(self, reason: str) -> None:
        """Give no further turn. The first reason counts."""
        if self.halted is None:
            self.halted = reason
            self.stopped.set()
            self.stir()

    def stir(self) -> None:
        """Something has happened: look again who may begin."""
        self._stirred.set()

    async def progress(self) -> LaneProgress:
        """What is on the log now."""
        async with self._reading:
            return await asyncio.to_thread(self._refresh)

    async def look(self, at: Callable[[LaneProgress], T]) -> T:
        """Something of what was last read, while no other thread is reading."""
        async with self._reading:
            return at(self._known)

    async def of(self, cause: CallCause, step: int, request_id: str, worst: WorstCase) -> BegunCall | CallAnswered:
        """Wait until an attempt may be made and is on the log; or the answer that is there already.

        Raises Halted when no call may be made any more.
        """
        self._largest = larger(self._largest, worst)
        turn: asyncio.Future[BegunCall | CallAnswered] = asyncio.get_running_loop().create_future()
        first = request_id not in self._attempts
        heappush(self._waiting, _Waiting(first, cause.number, step, next(self._order), cause, request_id, worst, turn))
        self.stir()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._give())
        return await turn

    def failed(self, request_id: str) -> None:
        """A request that was begun is to be attempted again."""
        self._failed.add(request_id)

    def ended(self) -> None:
        """An attempt that was begun has its outcome on the log, or was given up."""
        self._active -= 1
        self.stir()

    def forget(self, request_id: str) -> None:
        """A request will have no further attempt: it is answered, or has failed for good."""
        self._attempts.pop(request_id, None)

    def settled(self, request_id: str) -> None:
        """Nobody asks this any more."""
        self._under_way.pop(request_id, None)
        self._failed.discard(request_id)
        self.stir()

    async def _give(self) -> None:
        """Begin what waits, as long as something does."""
        try:
            while self._waiting:
                self._stirred.clear()
                if self.halted is not None:
                    await self.look(self._give_answers)
                    self._refuse(CallsHalted(self.halted))
                    return
                admitted, wait_s = self._admitted()
                if not admitted or not await self._begin(admitted):
                    await self._stir_or(wait_s if not admitted else None)
        except Exception as error:  # noqa: BLE001 - those who wait for their turn are told
            self._refuse(error)

    async def _stir_or(self, wait_s: float | None) -> None:
        """Wait until something has happened, or the time is over."""
        try:
            async with asyncio.timeout(wait_s):
                await self._stirred.wait()
        except TimeoutError:
            pass

    def _give_answers(self, progress: LaneProgress) -> None:
        """Give those that are on the ledger: what is paid for needs no call."""
        for waiting in self._waiting:
            answered = progress.answers.get(waiting.request_id)
            if answered is not None and not waiting.turn.done():
                self.forget(waiting.request_id)
                waiting.turn.set_result(answered)

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
        begun: list[tuple[_Waiting, BegunCall]] = []
        later: list[_Waiting] = []
        async with self._reading:
            try:
                progress = await asyncio.to_thread(self._refresh)
                for waiting, ticket in admitted:
                    if later or not self._may_begin(progress, waiting, [w.worst for w, _ in begun], later):
                        self._pace.abandon(ticket)
                        if waiting not in later and not waiting.turn.done():
                            later.append(waiting)
                        continue
                    begun.append((waiting, BegunCall(progress.next_attempt(waiting.request_id), ticket)))
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

    def _may_begin(
        self, progress: LaneProgress, waiting: _Waiting, together: list[WorstCase], later: list[_Waiting]
    ) -> bool:
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
            self.forget(waiting.request_id)
            waiting.turn.set_result(answered)
            return False
        aside = {waiting.request_id} if waiting.first else {waiting.request_id, *self._failed}
        others = [worst for id, worst in self._under_way.items() if id not in aside]
        asked = PlannedCall(waiting.worst, not waiting.first, others, together, self._largest)
        reason = None if self.halted is not None else self._may_call(progress, asked)
        if reason is not None and (together or self._active or (waiting.first and self._failed)):
            # What is under way may take less than its worst case, and what is kept for one that failed is to be used.
            later.append(waiting)
            return False
        if reason is not None:
            self.halt(reason)
        if self.halted is not None:
            waiting.turn.set_exception(CallsHalted(self.halted))
            return False
        return True

    async def _announce(self, waiting: _Waiting, begun: BegunCall) -> None:
        """Put an attempt on the log, and let it be made."""
        request_id = waiting.request_id
        await self._events.started(waiting.cause, waiting.step, request_id, begun.attempt)
        self._attempts[request_id] = begun.attempt
        self.started += 1
        if waiting.turn.done():  # whoever waited was cancelled
            self._pace.end(begun.ticket, None, self._clock())
        else:
            self._under_way[request_id] = waiting.worst
            self._failed.discard(request_id)
            self._active += 1
            waiting.turn.set_result(begun)

    def _check_alone(self, progress: LaneProgress, cause: CallCause, request_id: str) -> None:
        mine = self._attempts.get(request_id, 0)
        if cause.number < progress.next_number or progress.next_attempt(request_id) != mine + 1:
            raise RunError(
                f"Lane {cause.lane!r} is also written by another process: number {cause.number} has calls that were "
                "not made here. Stop one of them, or give a generator its own --lane."
            )
