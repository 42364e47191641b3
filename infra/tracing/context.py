"""The span in which an event is written. Each record names it in its header `traceparent`.

A program opens a place with `written_in`; what it writes within that block, in the same thread or task, is of that
span. Without one an event begins a trace of its own. A verdict's events are of the verdict's span, wherever they are
written: they name the generation, which names the trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from schemas import ids
from schemas.events import Event, InstructionKept, InstructionsRejected
from schemas.trace_context import SpanPlace, generation_place

_OF_VERDICT = (InstructionKept, InstructionsRejected)
_current: ContextVar[SpanPlace | None] = ContextVar("span_place", default=None)


@contextmanager
def written_in(place: SpanPlace | None) -> Iterator[None]:
    """What is written within the block is of this span; None: begins traces of its own."""
    token = _current.set(place)
    try:
        yield
    finally:
        _current.reset(token)


def verdict_place(generation_id: str, generated_offset: int) -> SpanPlace:
    """Of the filter's verdict on a generation."""
    return SpanPlace(ids.verdict_id(generated_offset), generation_id)


def traceparent_of(run: str, event: Event, id: str) -> str:
    """The header `traceparent` of the record of an event with this id, which is written now."""
    if isinstance(event, _OF_VERDICT) and event.generation_id:
        return _of_verdict(run, event.generation_id, event.generated_offset)
    return (_current.get() or generation_place(id)).context(run).traceparent


@lru_cache(maxsize=64)
def _of_verdict(run: str, generation_id: str, generated_offset: int) -> str:
    """Kept: the records of a verdict are written together."""
    return verdict_place(generation_id, generated_offset).context(run).traceparent
