"""Items that take calls, several worked on at once, and their events written in the order of the items.

An item's requests are named by the id of its event, so a later start finds the answers on the ledger. The ledger also
needs increasing numbers. An item may have one of its own, such as its place in a list that is always the same. Else it
gets the next free one when it is begun, and keeps it over restarts; nothing depends on it.

An event that is ready before its turn waits in memory; if the process dies, the item's answers are on the ledger. An
item whose event is on the log is skipped. `sedi judge` and the evaluations work in this way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from infra.settings import Settings
from infra.tracing.context import verdict_place, written_in
from infra.tracing.spans import is_exporting
from producers.backends.base import Backend
from producers.calls.call_spans import export_item
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.found_concurrency import keep_found
from producers.calls.ordered_progress import OrderedProgress, OrderedReader, P
from producers.calls.queue_position import QueuePosition
from producers.calls.rate_control import RateControl
from producers.calls.stop_signals import run_until_stopped
from schemas.events import Event, InstructionKept
from streams.core.ledger import WINDOW

_POLL_S = 0.5  # between two reads of the log when there is nothing to begin
_AHEAD = 4  # times the calls in flight: items behind a slow one are held in memory


@dataclass(frozen=True)
class FinishedItem:
    """The event of an item that is done, with what it is written with."""

    event: Event
    key: str
    id: str
    causation_id: str
    partition: int = 0


class OrderedItem(Protocol):
    """A piece of work with calls.

    id             of the event that it ends with
    causation_id   of the event that caused it
    number         in the lane; None: the next free one
    """

    @property
    def id(self) -> str: ...

    @property
    def causation_id(self) -> str: ...

    @property
    def number(self) -> int | None: ...

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        """Make the calls. Raises CallsHalted when none may be made any more, CallFailure when the work must end."""
        ...


@runtime_checkable
class RowWork(Protocol):
    """An item that is about a kept row; its spans are of that row's trace."""

    @property
    def row(self) -> InstructionKept: ...


@dataclass(frozen=True)
class _Done:
    """A finished item, what its calls were made for, and when it was begun (nanoseconds since the epoch)."""

    item: FinishedItem
    cause: CallCause
    begun_ns: int


class ItemQueue(Protocol):
    """Gives the items, in order. `ended`: no further item comes."""

    @property
    def ended(self) -> bool: ...

    def reached(self, items: int) -> QueuePosition | None:
        """The last position that is known to be after so many of the items that it gave; None: it knows none."""
        ...

    async def next(self) -> OrderedItem | None:
        """The next item; None: there is none now."""
        ...


def work_off(
    work: "OrderedWork", backend: Backend, settings: Settings, rate: RateControl, reader: OrderedReader[P]
) -> P:
    """Work to the end, and remember how many calls at once the endpoint took. Returns the progress as of then.

    Raises as `OrderedWork.run`.
    """
    work.keep = reader.keep
    asyncio.run(work.run(backend))
    keep_found(settings, rate)
    known = reader.refresh()
    work.note_reached()
    reader.keep(work.reached, last=True)
    return known


class OrderedWork:
    """The main loop.

    written     events written by this process
    cancelled   a second signal ended it
    reached     the last position of the queue before which all is on the log, as it was read; None: not known
    keep        called with that now and then, while nobody reads the log
    """

    def __init__(
        self,
        queue: ItemQueue,
        caller: Caller,
        progress: OrderedProgress,
        *,
        in_flight: int,
        on_written: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.written = 0
        self.cancelled = False
        self.reached: QueuePosition | None = None
        self.keep: Callable[[QueuePosition | None], None] = lambda _: None
        self.caller = caller
        self._queue = queue
        self._progress = progress
        self._most_pending = min(_AHEAD * in_flight, WINDOW - 1)
        self._on_written = on_written
        self._given = 0  # items of the queue
        self._pending: deque[asyncio.Task[_Done]] = deque()  # in the order of their items
        self._places: deque[int] = deque()  # of these among all items
        self._unread: deque[tuple[int, str]] = deque()  # places and ids of written ones that were not read back
        self._next_number = progress.next_free
        self._error: BaseException | None = None

    async def run(self, backend: Backend) -> None:
        """Work until the items, a limit or a signal ends it. Items begun by then are completed and written."""
        self.cancelled = await run_until_stopped(self._work, self.caller.halt, backend)
        if self._error is not None:
            raise self._error

    async def _work(self) -> None:
        try:
            while self._error is None:
                await self._begin()
                self.note_reached()
                if self._pending:
                    await asyncio.wait([self._pending[0]], timeout=_POLL_S)
                    all_done = await self._write_ready()
                    self.note_reached()
                    if not all_done:
                        break
                    await self.caller.query(lambda _: self.keep(self.reached))
                elif self._queue.ended or self.caller.halted is not None:
                    break
                else:
                    await self.caller.pause(_POLL_S)
            # Calls in flight end, so that their answers are on the ledger.
            await asyncio.gather(*self._pending, return_exceptions=True)
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    def note_reached(self) -> None:
        """Bring `reached` up to date. What was written counts once it was read back: a log may lose its end, and a
        position must not be beyond what a snapshot of the progress covers."""
        while self._unread and self._unread[0][1] in self._progress.done:
            self._unread.popleft()
        left = self._unread[0][0] if self._unread else self._places[0] if self._places else self._given
        self.reached = self._queue.reached(left)

    async def _begin(self) -> None:
        """Begin items that are not done yet, as many as there is room for."""
        while len(self._pending) < self._most_pending and self.caller.halted is None:
            item = await self._queue.next()
            if item is None:
                return
            self._given += 1
            cause = await self.caller.query(lambda _, item=item: self._cause(item))  # type: ignore[misc]
            if cause is not None:
                self._pending.append(asyncio.create_task(self._work_on(item, cause)))
                self._places.append(self._given - 1)

    async def _work_on(self, item: OrderedItem, cause: CallCause) -> _Done:
        begun_ns = time.time_ns()
        return _Done(await item.work(cause, self.caller), cause, begun_ns)

    def _cause(self, item: OrderedItem) -> CallCause | None:
        """The cause of the item's calls; None if it is done."""
        if item.id in self._progress.done:
            return None
        number = item.number
        if number is None:
            number = self._progress.number_of(item.id)
        if number is None:
            number = self._next_number
            self._next_number += 1
        row = item.row if isinstance(item, RowWork) else None
        follows = None if row is None else verdict_place(row.generation_id, row.generated_offset)
        return CallCause(self._progress.lane, number, item.id, item.causation_id, follows=follows)

    async def _write_ready(self) -> bool:
        """Write the events whose turn it is. False when an item will not be done now: those behind it wait."""
        ready: list[_Done] = []
        failure: BaseException | None = None
        while self._pending and self._pending[0].done():
            failure = self._pending[0].exception()
            if failure is not None:
                break
            ready.append(self._pending.popleft().result())
            self._unread.append((self._places.popleft(), ready[-1].item.id))
        if failure is not None and not isinstance(failure, CallsHalted):
            self._error = failure
            self.caller.halt(f"an error: {failure}")
        await asyncio.gather(*(self._write(done) for done in ready))
        return failure is None

    async def _write(self, done: _Done) -> None:
        item = done.item
        with written_in(done.cause.place):
            await self.caller.write(
                item.event, key=item.key, id=item.id, causation_id=item.causation_id, partition=item.partition
            )
        self.written += 1
        if is_exporting():
            export_item(self.caller.run, item.event, done.cause, done.begun_ns)
        self._on_written(item.event)
