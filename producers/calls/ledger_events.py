"""The ledger's events of an attempt at a call: its start, then its answer or failure, with deterministic ids."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from infra.tracing.context import written_in
from producers.backends.base import Answer, Backend, CallFailure, CallPlace, OutlivingBackend
from producers.calls.cost import Prices
from schemas import ids
from schemas.events import CallAnswered, CallFailed, CallStarted, Event, KeptShown, Steering
from schemas.trace_context import SpanPlace


@dataclass(frozen=True)
class CallCause:
    """The generation or judgement that calls are made for, and the event that caused it.

    follows   the span of that event, if its trace is continued; None: a trace begins
    """

    lane: str
    number: int
    generation_id: str
    causation_id: str
    kept_shown: KeptShown | None = None
    steering: Steering | None = None
    follows: SpanPlace | None = None

    @property
    def place(self) -> SpanPlace:
        """Its span."""
        return SpanPlace(self.generation_id, self.generation_id if self.follows is None else self.follows.root)


class Write(Protocol):
    """Writes an event; returns when the cluster has confirmed it."""

    def __call__(self, event: Event, *, key: str, id: str, causation_id: str) -> Awaitable[None]: ...


def attempt_place(request_id: str, attempt: int, trace_root: str) -> SpanPlace:
    """The span of an attempt at a call."""
    return SpanPlace(ids.child(request_id, f"started/{attempt}"), trace_root or request_id)


@dataclass(frozen=True)
class LedgerEvents:
    """Builds and writes them; each method returns when its event is on the log."""

    backend: Backend
    prices: Prices
    write: Write

    async def started(self, cause: CallCause, step: int, request_id: str, attempt: int) -> None:
        """An attempt is about to be made."""
        backend = self.backend
        event = CallStarted(
            request_id=request_id,
            attempt=attempt,
            generation_id=cause.generation_id,
            lane=cause.lane,
            number=cause.number,
            step=step,
            backend=backend.started_as if isinstance(backend, OutlivingBackend) else backend.name,
            model=backend.model,
            kept_shown=cause.kept_shown,
            steering=cause.steering if step == 0 else None,  # its later requests follow from the first answer
        )
        id = ids.child(request_id, f"started/{attempt}")
        with written_in(attempt_place(request_id, attempt, cause.place.root)):
            await self.write(event, key=request_id, id=id, causation_id=cause.causation_id)

    async def answered(self, place: CallPlace, answer: Answer) -> CallAnswered:
        """An attempt was answered."""
        event = CallAnswered(
            request_id=place.request_id,
            attempt=place.attempt,
            model=answer.model,
            raw=answer.raw,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            cost_usd=self.prices.cost(answer.usage),
            latency_s=answer.latency_s,
            reasoning=answer.reasoning,
        )
        await self._outcome(place, event, "answered")
        return event

    async def failed(self, place: CallPlace, failure: CallFailure, retry: bool) -> str:
        """An attempt failed; `retry`: another follows. Returns the event's id."""
        event = CallFailed(
            request_id=place.request_id,
            attempt=place.attempt,
            error=str(failure),
            status=failure.status,
            retry=retry,
            usage=failure.usage,
            cost_usd=self.prices.cost(failure.usage),
            perhaps_paid=failure.perhaps_paid,
        )
        return await self._outcome(place, event, "failed")

    async def _outcome(self, place: CallPlace, event: Event, name: str) -> str:
        started = ids.child(place.request_id, f"started/{place.attempt}")
        id = ids.child(place.request_id, f"{name}/{place.attempt}")
        with written_in(attempt_place(place.request_id, place.attempt, place.trace_root)):
            await self.write(event, key=place.request_id, id=id, causation_id=started)
        if isinstance(self.backend, OutlivingBackend):
            self.backend.booked(place)
        return id
