"""Makes LLM calls with the ledger around them: each attempt is on the log before it is made, each outcome right after.

`Caller.ask` returns a request's answer: from the ledger if it was answered before, else by attempts. The scheduler
decides when each begins (`producers.calls.call_scheduler`), the retry policy how long to pause between two
(`producers.calls.retries`). The answer is on the log before the caller gets it (`producers.calls.ledger_events`).
After a crash between an attempt's start and its outcome, the ledger counts the attempt as lost. An answer larger than
`max_answer_bytes`, or than the cluster accepts, is a failed attempt with its usage, and is not written to the log.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypedDict, TypeVar

from infra.log.writer import LogWriter, NotWritable
from infra.settings import Settings
from producers.backends.base import Answer, Backend, CallFailure, CallPlace, EndpointBackend, Request, too_large
from producers.backends.batch.options import BatchOptions
from producers.backends.recorded import RecordedOptions
from producers.calls.batching import batch_backend, check_no_batches
from producers.calls.call_metrics import count_attempt, meter_rate
from producers.calls.call_scheduler import CallScheduler, CallsHalted
from producers.calls.call_spans import export_attempt
from producers.calls.channel import Channel, Channels
from producers.calls.confirming_writer import ConfirmingWriter
from producers.calls.cost import PlannedCall, Prices, worst_case
from producers.calls.ledger_events import CallCause, LedgerEvents
from producers.calls.limits import MOST_IN_FLIGHT, Limits
from producers.calls.rate_control import RateControl, RateOptions, Ticket
from producers.calls.retries import Retries
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, Event
from streams.core.batch_ledger import BatchLedger

__all__ = ["CallCause", "CallOptions", "Caller", "CallsHalted"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """How calls are made: what the options of generators and judges have in common.

    recorded    the file of answers, when the settings' backend is `recorded`
    in_flight   calls in flight at once, at most; None: what suits the backend, or found by trying
    batch       ask the endpoint in batches; None: make each call by itself
    """

    recorded: RecordedOptions | None = None
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    rate: RateOptions = field(default_factory=RateOptions)
    in_flight: int | None = None
    batch: BatchOptions | None = None

    def __post_init__(self) -> None:
        if not 1 <= (self.in_flight or 1) <= MOST_IN_FLIGHT:
            raise ConfigurationError(
                f"in_flight is {self.in_flight}; it must be from 1 to {MOST_IN_FLIGHT}. For more calls at once start "
                "another generator with its own --lane."
            )


class CallTotals(TypedDict):
    """What the summaries of programs that make calls have in common.

    calls              attempts started by this process
    unfinished         work of the lane begun and not written; the next start continues from its answers
    run_cost_usd       cost of the run's answers so far, of all its programs; None if one is not known
    lost_calls, repeated_calls   of the run: perhaps paid for without an answer, and paid twice
    """

    calls: int
    unfinished: int
    run_cost_usd: float | None
    lost_calls: int
    repeated_calls: int


class LaneReader(Protocol):
    """Keeps a lane's progress up to date from the log."""

    @property
    def progress(self) -> LaneProgress: ...

    def refresh(self) -> LaneProgress:
        """Apply everything that is on the log now."""
        ...


class Caller:
    """Makes a lane's calls, as fast as `rate` admits them, or in batches. `backend`: what answers them."""

    def __init__(
        self,
        *,
        backend: Backend,
        writer: LogWriter,
        refresh: Callable[[], LaneProgress],
        may_call: Callable[[LaneProgress, PlannedCall], str | None],
        prices: Prices,
        retries: Retries,
        rate: RateControl,
        known: LaneProgress,
        max_answer_bytes: int = 1024 * 1024,
        price_of: Callable[[Backend], Prices] | None = None,
        batch: BatchOptions | None = None,
        notify: Callable[[str], None] = lambda _: None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if batch is None:
            check_no_batches(known)
            self.backend = backend
        else:
            self.backend = batch_backend(backend, batch, self, known, retries, notify)
        self._log = ConfirmingWriter(writer)
        self._retries = retries
        self._max_answer_bytes = max_answer_bytes
        self._rng = rng or random.Random()
        self._clock = clock
        self._channels = Channels(Channel(self.backend, LedgerEvents(self.backend, prices, self.write), rate), price_of)
        self._scheduler = CallScheduler(refresh=refresh, may_call=may_call, known=known, clock=clock)
        meter_rate(rate)

    @classmethod
    def of(
        cls,
        options: CallOptions,
        settings: Settings,
        *,
        backend: Backend,
        writer: LogWriter,
        reader: LaneReader,
        rate: RateControl,
        limits: Limits | None = None,
        most_bytes: int | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> "Caller":
        """The caller of a lane.

        limits      those in force; None: those of the options
        most_bytes  of an answer, if fewer than the settings allow
        notify      gets what people should know of batches
        """
        prices = Prices.of(settings)
        return cls(
            backend=backend,
            writer=writer,
            refresh=reader.refresh,
            may_call=(limits or options.limits).may_call,
            prices=prices if options.batch is None else prices.in_batches,
            retries=options.retries,
            rate=rate,
            known=reader.progress,
            max_answer_bytes=min(settings.max_answer_bytes, most_bytes or settings.max_answer_bytes),
            price_of=partial(backend_prices, settings),
            batch=options.batch,
            notify=notify,
        )

    @property
    def run(self) -> str:
        """The run that it writes to."""
        return self._log.run

    @property
    def halted(self) -> str | None:
        """Why no further call is made; None while calls are made."""
        return self._scheduler.halted

    @property
    def started(self) -> int:
        """Attempts started by this process."""
        return self._scheduler.started

    def totals(self, known: LaneProgress) -> CallTotals:
        """The counts for a summary; `known`: the progress at the end."""
        return CallTotals(
            calls=self.started,
            unfinished=known.unfinished(),
            run_cost_usd=known.ledger.cost_usd,
            lost_calls=known.ledger.lost,
            repeated_calls=known.ledger.repeated,
        )

    @property
    def in_flight_limit(self) -> int:
        """Calls that may be in flight now."""
        return self._channels.own.rate.concurrency.limit

    def halt(self, reason: str) -> None:
        """Make no further call. The first reason is kept."""
        self._scheduler.halt(reason)

    async def refresh(self) -> LaneProgress:
        """The progress as of the end of the log now."""
        return await self._scheduler.refresh()

    async def batches(self) -> BatchLedger:
        """The run's batches as of the end of the log now."""
        return (await self.refresh()).batches

    async def query(self, select: Callable[[LaneProgress], T]) -> T:
        """Evaluate `select` on the progress as last read, while no thread refreshes it."""
        return await self._scheduler.query(select)

    async def has_answer(self, cause: CallCause, step: int) -> bool:
        """Whether the ledger has the answer to the step-th request of an unfinished generation."""
        request_id = ids.request_id(cause.generation_id, step)
        return await self.query(lambda progress: request_id in progress.answers)

    async def pause(self, seconds: float) -> None:
        """Wait, at most until `halt`."""
        try:
            async with asyncio.timeout(seconds):
                await self._scheduler.stopped.wait()
        except TimeoutError:
            pass

    async def ask(self, cause: CallCause, step: int, request: Request, backend: Backend | None = None) -> CallAnswered:
        """The answer to the step-th request of a generation, paid for once.

        backend   another one than the lane's: a scorer; whoever opened it closes it
        Raises CallsHalted when no call may be made, the last CallFailure when the request fails for good.
        """
        request_id = ids.request_id(cause.generation_id, step)
        channel = self._channels.of(backend)
        worst = worst_case(request, channel.prices, channel.backend)
        scheduler, failures, answered_before, first_attempt = self._scheduler, 0, channel.answered, 0
        try:
            while True:
                begun = await scheduler.acquire(cause, step, request_id, worst, channel)
                if isinstance(begun, CallAnswered):
                    return begun
                first_attempt = first_attempt or begun.attempt
                place = CallPlace(cause.lane, cause.number, step, begun.attempt, request_id, cause.place.root)
                try:
                    began_ns = time.time_ns()
                    outcome = await self._attempt(channel, place, request, begun.ticket)
                    count_attempt(outcome, channel.prices)
                    export_attempt(self.run, channel.backend, cause, place, request, outcome, began_ns)
                    if isinstance(outcome, Answer):
                        try:
                            answered = await channel.events.answered(place, outcome)
                        except NotWritable:
                            outcome = too_large(self._max_answer_bytes, _size(outcome), outcome.usage)
                        else:
                            scheduler.forget(request_id)
                            channel.answered += 1
                            return answered
                    # A failed probe is the endpoint's fault rather than the request's.
                    failures += not (begun.ticket.probe and self._retries.forever)
                    breaker, others = channel.rate.breaker, channel.answered > answered_before
                    retry = self._retries.should_retry(outcome, failures, breaker, others_answered=others)
                    event_id = await channel.events.failed(place, outcome, retry)
                    if not retry:
                        scheduler.forget(request_id)
                        final = self._retries.final(
                            outcome,
                            failures,
                            others_answered=others and not breaker.open,
                            attempts_before=0 if breaker.open else first_attempt - 1,
                        )
                        final.event_id = event_id
                        raise final from outcome
                    scheduler.will_retry(request_id)
                    await self.pause(self._retries.pause(max(1, failures), outcome, self._rng))
                finally:
                    scheduler.attempt_ended()
        finally:
            scheduler.release(request_id)

    async def write(self, event: Event, *, key: str, id: str, causation_id: str, partition: int = 0) -> None:
        """Write an event; returns when the cluster has confirmed it. If cancelled, it is written all the same."""
        await self._log.write(event, key=key, id=id, causation_id=causation_id, partition=partition)

    async def _attempt(
        self, channel: Channel, place: CallPlace, request: Request, ticket: Ticket
    ) -> Answer | CallFailure:
        """Make the attempt. The next one may begin when it has ended, before its outcome is on the log."""
        outcome: Answer | CallFailure | None = None
        try:
            outcome = await channel.backend.complete(request, place)
            if (size := _size(outcome)) > self._max_answer_bytes:
                outcome = too_large(self._max_answer_bytes, size, outcome.usage)
        except CallFailure as failure:
            outcome = failure
        finally:
            channel.rate.end(ticket, outcome, self._clock())
            self._scheduler.wake()
        return outcome


def backend_prices(settings: Settings, backend: Backend) -> Prices:
    """The prices of a lane's further backend: of its own model, at its own endpoint."""
    url = backend.account[0] if isinstance(backend, EndpointBackend) else settings.base_url
    return Prices.of(settings.model_copy(update={"base_url": url}), backend.model)


def _size(answer: Answer) -> int:
    return len(answer.raw.encode("utf-8", "replace"))
