"""Restores the log's order in what Faust delivers.

Faust loses, repeats and reorders records around rebalances, and its committed offset may pass records that no agent has
seen. So no agent relies on delivery. A `Cursor` knows the last applied offset: a record at or below it is a repeat, the
next one is applied, and a later one proves a gap, which is filled by reading the log directly. A periodic `catch_up`
does the same when delivery has stopped.

Guarantees: while the cursor is active, `apply` gets every record of the partition from the start offset on, once each,
in offset order, one at a time. If `apply` raises, the record counts as not applied, and the next call gets it again.
Records that are missing on the log are never skipped: RunError.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.log.record import Record
from schemas.errors import RunError

Fetch = Callable[[str, int, int | None], Awaitable[Sequence[Record]]]
Apply = Callable[[Record], Awaitable[None]]


class Cursor:
    """The position in one partition.

    applied            the last applied offset
    active             between `start` and `stop`
    repeats, filled    records that were dropped as repeats, and read to fill gaps

    `fetch(topic, start, end)` reads records [start, end) from the log (None: to its end), or only the first of them; an
    empty result means that there are none.
    """

    def __init__(self, topic: str, fetch: Fetch, apply: Apply) -> None:
        self.topic = topic
        self.applied = -1
        self.repeats = 0
        self.filled = 0
        self._fetch = fetch
        self._apply = apply
        self.active = False
        self._lock = asyncio.Lock()

    def stop(self) -> None:
        """Apply nothing more until `start`: the partition is being revoked."""
        self.active = False

    async def settle(self) -> None:
        """After `stop`: wait until the record being applied now is done."""
        async with self._lock:
            pass

    async def start(self, applied: int) -> None:
        """Continue after the offset `applied`, once the record being applied now is done."""
        async with self._lock:
            self.applied = applied
            self.active = True

    async def offer(self, record: Record) -> None:
        """Apply a delivered record, after any records that were not delivered before it."""
        async with self._lock:
            if not self.active:
                return
            if record.offset <= self.applied:
                self.repeats += 1
                return
            if record.offset > self.applied + 1:
                await self._fill(record.offset)
            if self.active and record.offset == self.applied + 1:
                await self._take(record)

    async def catch_up(self, through: int | None = None) -> None:
        """Apply the log's records up to the offset `through`, by default to the end."""
        async with self._lock:
            if self.active and (through is None or through > self.applied):
                await self._fill(None if through is None else through + 1)

    async def _fill(self, end: int | None) -> None:
        while records := await self._fetch(self.topic, self.applied + 1, end):
            for record in records:
                if not self.active:
                    return
                if record.offset > self.applied + 1:
                    raise RunError(
                        f"Offsets {self.applied + 1} to {record.offset - 1} of {self.topic} are not on the log any "
                        "more, and are needed for every later decision. Restore the run's topics, or start another run."
                    )
                if record.offset == self.applied + 1:
                    await self._take(record)
                    self.filled += 1

    async def _take(self, record: Record) -> None:
        await self._apply(record)
        self.applied = record.offset
