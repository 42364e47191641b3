"""What others see of a worker: its metrics, its health, and the spans of its verdicts and commands.

What the worker's state holds is read when somebody looks, so it costs nothing on the way of a record. The reasons of
rejections are not in the state; they are counted when a block is written, once a reason.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING, Any, TypeVar

from infra.log.record import Record
from infra.metrics import declared
from infra.metrics.meters import is_metered, meters
from infra.observed import observation
from infra.tracing import names
from infra.tracing.context import verdict_place, written_in
from infra.tracing.spans import EndedSpan, export_span, is_exporting
from schemas import ids
from schemas.events import Event, InstructionsRejected, ReplaceSeeds
from schemas.topics import topic_name
from schemas.trace_context import SpanPlace, generation_place, parse_traceparent
from streams.core.decider import FilterState

if TYPE_CHECKING:
    from streams.worker.app import Worker

Given = TypeVar("Given")
Applied = TypeVar("Applied")

_begun_ns: ContextVar[int | None] = ContextVar("begun_ns", default=None)
_answered: ContextVar[Record | None] = ContextVar("answered_window", default=None)


# -- spans -------------------------------------------------------------------------------------------------------------


def timed(apply: Callable[[Given], Awaitable[Applied]]) -> Callable[[Given], Awaitable[Applied]]:
    """`apply`, with the time at which it began, for the spans of what it writes."""

    async def applied(given: Given) -> Applied:
        token = _begun_ns.set(time_ns())
        try:
            return await apply(given)
        finally:
            _begun_ns.reset(token)

    return applied


def in_command_span(apply: Callable[[Record], Awaitable[None]]) -> Callable[[Record], Awaitable[None]]:
    """`apply` for `training-log`: the command that it writes goes on with the window's trace."""

    async def applied(record: Record) -> None:
        token = _answered.set(record)
        try:
            with written_in(_command_place(record)):
                await apply(record)
        finally:
            _answered.reset(token)

    return timed(applied)


def _command_place(record: Record) -> SpanPlace:
    within = None if record.decoded is None else record.decoded.meta.traceparent
    return SpanPlace(ids.command_id(record.offset), record.id, within)


def note_written(run: str, events: Sequence[Event]) -> None:
    """Events of the worker are on the log now."""
    if is_metered():
        reasons = Counter(
            rejection.reason
            for event in events
            if isinstance(event, InstructionsRejected)
            for rejection in event.rejections
        )
        for reason, number in reasons.items():
            meters().add(declared.REJECTIONS, number, reason)
    if is_exporting():
        for event in events:
            _export(run, event)


def _export(run: str, event: Event) -> None:
    end_ns = time_ns()
    begun_ns = _begun_ns.get() or end_ns
    if isinstance(event, InstructionsRejected) and event.generation_id:
        export_span(
            EndedSpan(
                names.VERDICT,
                "consumer",
                verdict_place(event.generation_id, event.generated_offset),
                begun_ns,
                end_ns,
                parent=generation_place(event.generation_id).context(run),
                attributes={
                    names.MESSAGING_SYSTEM: "kafka",
                    names.MESSAGING_DESTINATION: topic_name(run, "generated"),
                    names.MESSAGING_OFFSET: event.generated_offset,
                    names.KEPT: event.kept,
                    names.REJECTED: len(event.rejections),
                },
            )
        )
    record = _answered.get()
    if isinstance(event, ReplaceSeeds) and record is not None:
        place = _command_place(record)
        export_span(
            EndedSpan(
                names.REPLACEMENT,
                "consumer",
                place,
                begun_ns,
                end_ns,
                parent=parse_traceparent(place.within),
                attributes={
                    names.MESSAGING_SYSTEM: "kafka",
                    names.MESSAGING_DESTINATION: topic_name(run, "training-log"),
                    names.MESSAGING_OFFSET: record.offset,
                    names.OUTCOME: event.outcome,
                    names.REPLACED: len(event.replacements),
                },
            )
        )


# -- metrics and health ------------------------------------------------------------------------------------------------


@contextmanager
def metered_worker(worker: "Worker", run: str) -> Iterator[None]:
    """Let the worker's metrics be read, and its event loop be watched, within the block."""
    app, cursors, filter_, seeds = worker.app, worker.cursors, worker.filter, worker.seeds
    by = meters()
    by.read(declared.ACTIVE, lambda: float(cursors["generated"].active))
    by.read(declared.APPLIED, lambda: {topic: cursor.applied for topic, cursor in cursors.items()})
    by.read(declared.LAG, lambda: _lag(worker, run))
    by.read(declared.DECIDED, lambda: _decided(filter_.state))
    by.read(
        declared.DEAD_LETTERS, lambda: {topic: worker.outlet.dead_letters(topic).counted.total for topic in cursors}
    )
    by.read(declared.REDELIVERED, lambda: {topic: cursor.repeats for topic, cursor in cursors.items()})
    by.read(declared.FILLED, lambda: {topic: cursor.filled for topic, cursor in cursors.items()})
    by.read(declared.COMMANDS, lambda: len(seeds.pool.windows))
    by.read(declared.SEEDS_REPLACED, lambda: len(seeds.pool.evicted))
    by.read(declared.CLASSIFIERS, lambda: filter_.state.fits)
    monitor: Any = app.monitor
    by.read(declared.FAUST_RECEIVED, lambda: monitor.messages_received_total)
    by.read(declared.FAUST_ACTIVE, lambda: monitor.messages_active)
    by.read(declared.FAUST_SENT, lambda: monitor.messages_sent)
    by.read(declared.FAUST_SEND_ERRORS, lambda: monitor.send_errors)
    by.read(declared.FAUST_REBALANCES, lambda: monitor.rebalances or 0)
    by.read(declared.FAUST_SEND_S, lambda: _mean(monitor.send_latency))
    by.read(declared.FAUST_COMMIT_S, lambda: _mean(monitor.commit_latency))
    begun = False

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]
    async def begin(app: Any, assigned: Any, **_: Any) -> None:
        nonlocal begun
        if not begun:
            begun = True
            app.add_future(_turn(app))

    yield


async def _turn(app: Any) -> None:
    turning = asyncio.ensure_future(observation().turn())
    try:
        while not app.should_stop:
            await asyncio.sleep(1.0)
    finally:
        turning.cancel()


def _decided(state: FilterState) -> dict[str, float]:
    return {"kept": len(state.kept), "rejected": state.generated_total - len(state.kept)}


def _lag(worker: "Worker", run: str) -> dict[str, float]:
    """Records that are not applied, by topic, as far as the consumer knows their ends."""
    app: Any = worker.app
    assigned = {tp.topic: tp for tp in app.assignor.assigned_actives()}
    found = {}
    for topic, cursor in worker.cursors.items():
        tp = assigned.get(topic_name(run, topic))
        end = None if tp is None or not cursor.active else app.consumer.highwater(tp)
        if end is not None:
            found[topic] = float(max(0, end - 1 - cursor.applied))
    return found


def _mean(last: Sequence[float]) -> float | None:
    values = list(last)
    return sum(values) / len(values) if values else None
