"""Decides when each request's next attempt begins, and writes its start to the log first.

Requests wait in a queue: retries before first attempts, each in the order of their generations. Whenever rate control
(`producers.calls.rate_control`) admits some, they start in one round: the log is read to its end once, the limits are
checked, and all starts are written and confirmed together. So the log costs one round trip a round, not one a call.

A request that does not fit the limits waits while others are in flight or due for a retry, since those mostly take less
than their worst case. When there is nothing to wait for, the scheduler halts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from producers.calls.channel import Channel
from producers.calls.cost import PlannedCall, WorstCase, larger
from producers.calls.earlier_attempts import attempt_to_resume, check_sole_writer
from producers.calls.ledger_events import CallCause
from producers.calls.limits import MOST_IN_FLIGHT
from producers.calls.rate_control import RateControl, Ticket
from producers.generate.progress import LaneProgress
from schemas.errors import RunError
from schemas.events import CallAnswered

T = TypeVar("T")


class CallsHalted(Exception):
    """No further call is made: a limit is reached, or the process is stopping. Not an error."""


@dataclass(frozen=True)
class BegunCall:
    """An attempt whose start is on the log and that is to be made now. `resumed`: an earlier process started it."""

    attempt: int
    ticket: Ticket
    resumed: bool = False


@dataclass(order=True)
class _Waiting:
    """A queued request; the queue's order is that of the first four fields."""

    first_attempt: bool  # budget may be reserved for a retry, so retries come first
    number: int  # later generations wait for the oldest one
    step: int
    arrival: int
    cause: CallCause = field(compare=False)
    request_id: str = field(compare=False)
    worst: WorstCase = field(compare=False)
    channel: Channel = field(compare=False)
    result: "asyncio.Future[BegunCall | CallAnswered]" = field(compare=False)


class CallScheduler:
    """The queue of one lane.

    For each request the caller uses `acquire`, makes the attempt, and reports `attempt_ended`; before that `will_retry`
    if another attempt follows. `release` ends the request.
    """

    def __init__(
        self,
        *,
        refresh: Callable[[], LaneProgress],
        may_call: Callable[[LaneProgress, PlannedCall], str | None],
        known: LaneProgress,
        clock: Callable[[], float],
    ) -> None:
        self._refresh = refresh
        self._may_call = may_call
        self._known = known
        self._clock = clock
        self._attempts = known.attempts()
        self._reading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._arrivals = count()
        self._rates: set[RateControl] = set()  # of all requests so far
        self._dispatcher: asyncio.Task[None] | None = None
        self._begun: dict[str, WorstCase] = {}  # requests that were begun and are not released
        self._retrying: set[str] = set()  # of these, those due for another attempt
        self._active = 0  # attempts in flight, or pausing before their retry
        self._largest = WorstCase(0, 0.0)
        self.stopped = asyncio.Event()
        self.halted: str | None = None
        self.started = 0

    def halt(self, reason: str) -> None:
        """Start no further attempt. The first reason is kept."""
        if self.halted is None:
            self.halted = reason
            self.stopped.set()
            self.wake()

    def wake(self) -> None:
        """Check again which requests may begin."""
        self._changed.set()

    async def refresh(self) -> LaneProgress:
        """The progress as of the end of the log now."""
        async with self._reading:
            return await asyncio.to_thread(self._refresh)

    async def query(self, select: Callable[[LaneProgress], T]) -> T:
        """Evaluate `select` on the progress as last read, while no thread refreshes it."""
        async with self._reading:
            return select(self._known)

    async def acquire(
        self, cause: CallCause, step: int, request_id: str, worst: WorstCase, channel: Channel
    ) -> BegunCall | CallAnswered:
        """Wait until an attempt may be made and its start is on the log; or the answer, if the ledger has it.

        Raises CallsHalted when no call may be made any more.
        """
        self._largest = larger(self._largest, worst)
        self._rates.add(channel.rate)
        result: asyncio.Future[BegunCall | CallAnswered] = asyncio.get_running_loop().create_future()
        first = request_id not in self._attempts
        place = first, cause.number, step, next(self._arrivals)
        heappush(self._waiting, _Waiting(*place, cause, request_id, worst, channel, result))
        self.wake()
        if self._dispatcher is None or self._dispatcher.done():
            self._dispatcher = asyncio.create_task(self._dispatch())
        return await result

    def will_retry(self, request_id: str) -> None:
        """Another attempt at a begun request follows."""
        self._retrying.add(request_id)

    def attempt_ended(self) -> None:
        """The outcome of an attempt is on the log, or the attempt was cancelled."""
        self._active -= 1
        self.wake()

    def forget(self, request_id: str) -> None:
        """No further attempt follows: the request is answered, or failed for good."""
        self._attempts.pop(request_id, None)

    def release(self, request_id: str) -> None:
        """Nobody waits for this request any more."""
        self._begun.pop(request_id, None)
        self._retrying.discard(request_id)
        self.wake()

    async def _dispatch(self) -> None:
        """Start queued requests until the queue is empty."""
        try:
            while self._waiting:
                self._changed.clear()
                if self.halted is not None:
                    await self.query(self._resolve_answered)
                    self._fail_all(CallsHalted(self.halted))
                    return
                admitted, wait_s = self._admit()
                if not admitted or not await self._start_round(admitted):
                    await self._wait_for_change(wait_s if not admitted else None)
        except Exception as error:  # noqa: BLE001 - raised to every request in the queue
            self._fail_all(error)

    async def _wait_for_change(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _resolve_answered(self, progress: LaneProgress) -> None:
        """Return the answers that the ledger has: they need no call."""
        for waiting in self._waiting:
            if not waiting.result.done():
                self._resolve(waiting, progress)

    def _resolve(self, waiting: _Waiting, progress: LaneProgress) -> bool:
        """Return the request's answer, if the ledger has it."""
        answered = progress.answers.get(waiting.request_id)
        if answered is not None:
            self.forget(waiting.request_id)
            waiting.result.set_result(answered)
        return answered is not None

    def _fail_all(self, error: Exception) -> None:
        while self._waiting:
            result = heappop(self._waiting).result
            if not result.done():
                result.set_exception(error)

    def _admit(self) -> tuple[list[tuple[_Waiting, Ticket]], float | None]:
        """Requests that rate control lets begin now, a round of `MOST_IN_FLIGHT` at most, and the seconds until the
        next (None: until a change). A backend that admits no more holds back its own requests only."""
        admitted: list[tuple[_Waiting, Ticket]] = []
        held: list[_Waiting] = []
        waits: dict[RateControl, float | None] = {}
        while self._waiting and len(waits) < len(self._rates) and len(admitted) < MOST_IN_FLIGHT:
            now, first = self._clock(), heappop(self._waiting)
            if first.result.done():
                continue
            rate, tokens = first.channel.rate, first.worst.tokens or 0
            if rate not in waits and (wait_s := rate.wait_s(tokens, now)) != 0.0:
                waits[rate] = wait_s
            if rate in waits:
                held.append(first)
            else:
                admitted.append((first, rate.begin(tokens, now)))
        for waiting in held:
            heappush(self._waiting, waiting)
        return admitted, min((wait_s for wait_s in waits.values() if wait_s is not None), default=None)

    async def _start_round(self, admitted: list[tuple[_Waiting, Ticket]]) -> bool:
        """Write the starts of those that fit the limits; the others return to the queue. False when none could start
        and they must wait for a change."""
        begun: list[tuple[_Waiting, BegunCall]] = []
        later: list[_Waiting] = []
        async with self._reading:
            try:
                progress = await asyncio.to_thread(self._refresh)
                for waiting, ticket in admitted:
                    starting = [other.worst for other, begin in begun if not begin.resumed]
                    if later or not self._may_begin(progress, waiting, starting, later, others=bool(begun)):
                        waiting.channel.rate.abandon(ticket)
                        if waiting not in later and not waiting.result.done():
                            later.append(waiting)
                        continue
                    begun.append((waiting, _begun(progress, waiting, ticket)))
                await asyncio.gather(*(self._write_start(waiting, begin) for waiting, begin in begun))
            except Exception as error:  # noqa: BLE001 - raised to every request of the round
                for waiting, ticket in admitted:
                    if not waiting.result.done():
                        if waiting not in later:
                            waiting.channel.rate.abandon(ticket)
                        waiting.result.set_exception(error)
                return True
        for waiting in later:
            heappush(self._waiting, waiting)
        return bool(begun) or not later

    def _may_begin(
        self,
        progress: LaneProgress,
        waiting: _Waiting,
        starting: list[WorstCase],
        later: list[_Waiting],
        *,
        others: bool,
    ) -> bool:
        """Whether an attempt may be made now. If not, its result is set, or it is added to `later`. `others`: whether
        the round has begun any, resumed ones too."""
        if waiting.result.done():
            return False
        try:
            own = self._attempts.get(waiting.request_id, 0)
            check_sole_writer(progress, waiting.cause, waiting.request_id, own)
            resumed = _to_resume(progress, waiting) is not None
        except RunError as error:
            waiting.result.set_exception(error)
            return False
        if self._resolve(waiting, progress):
            return False
        excluded = {waiting.request_id} if waiting.first_attempt else {waiting.request_id, *self._retrying}
        in_flight = [worst for id, worst in self._begun.items() if id not in excluded]
        planned = PlannedCall(waiting.worst, not waiting.first_attempt, in_flight, starting, self._largest)
        # What is resumed counts already.
        reason = None if self.halted is not None or resumed else self._may_call(progress, planned)
        if reason is not None and (others or self._active or (waiting.first_attempt and self._retrying)):
            # Calls in flight may take less than their worst case, and budget reserved for a retry is still to be used.
            later.append(waiting)
            return False
        if reason is not None:
            self.halt(reason)
        if self.halted is not None:
            waiting.result.set_exception(CallsHalted(self.halted))
            return False
        return True

    async def _write_start(self, waiting: _Waiting, begun: BegunCall) -> None:
        """Write the start of an attempt, unless it is on the log, then let its caller make it."""
        request_id = waiting.request_id
        if not begun.resumed:
            await waiting.channel.events.started(waiting.cause, waiting.step, request_id, begun.attempt)
            self.started += 1
        self._attempts[request_id] = begun.attempt
        if waiting.result.done():  # its caller was cancelled
            waiting.channel.rate.end(begun.ticket, None, self._clock())
        else:
            self._begun[request_id] = waiting.worst
            self._retrying.discard(request_id)
            self._active += 1
            waiting.result.set_result(begun)


def _to_resume(progress: LaneProgress, waiting: _Waiting) -> int | None:
    return attempt_to_resume(progress, waiting.cause, waiting.request_id, waiting.channel.backend)


def _begun(progress: LaneProgress, waiting: _Waiting, ticket: Ticket) -> BegunCall:
    attempt = _to_resume(progress, waiting)
    return BegunCall(attempt or progress.next_attempt(waiting.request_id), ticket, resumed=attempt is not None)
