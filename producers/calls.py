"""Asking an LLM with the ledger in between: every attempt is on the log before it is made, every outcome right after.

`Caller.ask` gives a request's answer: from the ledger if it was answered before, else by attempts, with pauses between
them that grow and are jittered, or are as long as the endpoint asks for. An answer is on the log before the caller sees
it. A crash between an attempt's start and its outcome leaves a start without outcome, which the ledger counts as lost.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from infra.log import LogWriter
from producers.backends.base import Answer, Backend, CallFailure, EndpointRefused, Place, Request, Transient
from producers.progress import Progress
from schemas import ids
from schemas.errors import RunError
from schemas.events import CallAnswered, CallFailed, CallStarted, Event, Usage

T = TypeVar("T")


class Halted(Exception):
    """No further call is made: a limit is reached, or the generator is stopping. Not an error."""


@dataclass(frozen=True)
class Retries:
    """How often a request is attempted, and how long to wait in between.

    The k-th pause is drawn from the upper half of `first_pause_s` × 2^(k-1), capped at `longest_pause_s`; an endpoint
    that asks for a longer one gets it, up to `longest_asked_s`.
    """

    attempts: int = 8
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    longest_asked_s: float = 300.0

    def pause(self, failures: int, asked_s: float | None) -> float:
        """Seconds to wait after this many failures of a request."""
        longest = min(self.first_pause_s * 2.0 ** min(failures - 1, 30), self.longest_pause_s)
        return max(longest * random.uniform(0.5, 1.0), asked_s or 0.0)


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens; None is unknown, and then so is the cost."""

    prompt: float | None = None
    completion: float | None = None

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.completion is not None

    def cost(self, usage: Usage | None) -> float | None:
        """What an answer cost."""
        if usage is None or self.prompt is None or self.completion is None:
            return None
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1_000_000


@dataclass(frozen=True)
class Cause:
    """The generation that calls are made for, and the event that settled which seeds it shows."""

    lane: str
    number: int
    generation_id: str
    causation_id: str


class Caller:
    """Makes a lane's calls, at most `in_flight` at once."""

    def __init__(
        self,
        *,
        backend: Backend,
        writer: LogWriter,
        refresh: Callable[[], Progress],
        may_call: Callable[[Progress], str | None],
        prices: Prices,
        retries: Retries,
        in_flight: int,
        known: Progress,
    ) -> None:
        self._backend = backend
        self._writer = writer
        self._refresh = refresh
        self._may_call = may_call
        self._prices = prices
        self._retries = retries
        self._known = known
        self._attempts = known.attempts()
        self._slots = asyncio.Semaphore(in_flight)
        self._turn = asyncio.Lock()
        self._stopped = asyncio.Event()
        self.halted: str | None = None
        self.started = 0

    def halt(self, reason: str) -> None:
        """Make no further call. The first reason counts."""
        if self.halted is None:
            self.halted = reason
            self._stopped.set()

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
        failures = 0
        while True:
            async with self._slots:
                begun = await self._start(cause, step, request_id)
                if isinstance(begun, CallAnswered):
                    return begun
                place = Place(cause.lane, cause.number, step, begun, request_id)
                try:
                    answer = await self._backend.complete(request, place)
                except CallFailure as failure:
                    failures += 1
                    again = self._again(failure, failures)
                    event_id = await self._fail(place, failure, again)
                    if not again:
                        final = self._final(failure, failures)
                        final.event_id = event_id
                        raise final from failure
                    pause = self._retries.pause(failures, failure.retry_after_s)
                else:
                    return await self._answer(place, answer)
            await self.rest(pause)

    async def write(self, event: Event, *, key: str, id: str, causation_id: str) -> None:
        """Write an event; returns when the cluster has it. Cancelled, it is written none the less."""
        future = self._writer.send(event, key=key, id=id, causation_id=causation_id)
        await asyncio.to_thread(self._writer.wait, future)

    async def _start(self, cause: Cause, step: int, request_id: str) -> int | CallAnswered:
        """Put the next attempt on the log, if one may be made; its number, or the answer that is there already."""
        async with self._turn:
            progress = await asyncio.to_thread(self._refresh)
            self._check_alone(progress, cause, request_id)
            answered = progress.answers.get(request_id)
            if answered is not None:
                return answered
            reason = self._may_call(progress)
            if reason is not None:
                self.halt(reason)
            if self.halted is not None:
                raise Halted(self.halted)
            attempt = progress.next_attempt(request_id)
            started = CallStarted(
                request_id=request_id,
                attempt=attempt,
                generation_id=cause.generation_id,
                lane=cause.lane,
                number=cause.number,
                step=step,
                backend=self._backend.name,
                model=self._backend.model,
            )
            id = ids.child(request_id, f"started/{attempt}")
            await self.write(started, key=request_id, id=id, causation_id=cause.causation_id)
            self._attempts[request_id] = attempt
            self.started += 1
            return attempt

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

    def _again(self, failure: CallFailure, failures: int) -> bool:
        asked_s = failure.retry_after_s or 0.0
        return failure.retryable and failures < self._retries.attempts and asked_s <= self._retries.longest_asked_s

    def _final(self, failure: CallFailure, failures: int) -> CallFailure:
        if not isinstance(failure, Transient):
            return failure
        if (failure.retry_after_s or 0.0) > self._retries.longest_asked_s:
            text = f"{failure} It asks to wait {failure.retry_after_s:.0f} s: start again then."
            return EndpointRefused(text, status=failure.status)
        text = f"{failure} This was attempt {failures} in a row, the last that is made. Start again to go on."
        return Transient(text, status=failure.status)
