"""What Faust delivers, put back into the log's own order.

Faust loses, repeats and reorders records around rebalances, and its committed offset may pass records that no agent
has seen. So no agent here trusts delivery: a `Cursor` knows the last offset that was applied, takes a record at or
below it for a repeat, the next one for work, and a later one as proof of a gap, which it fills by reading the log
directly. A periodic `catch_up` does the same where delivery has stopped altogether.

Guarantees: `apply` sees every record of the partition from the start offset on, once each, in offset order, one at a
time, while the cursor is active. If `apply` raises, the record counts as not applied and the next call sees it again.
Records that are gone from the log are never passed over: RunError.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.log.record import Record
from schemas.errors import RunError

Fetch = Callable[[str, int, int | None], Awaitable[Sequence[Record]]]
Apply = Callable[[Record], Awaitable[None]]


class Cursor:
    """One partition's position.

    fetch(topic, start, end) reads records [start, end) from the log, up to its end for None, maybe only the first of
    them; none means that there are none.
    """

    def __init__(self, topic: str, fetch: Fetch, apply: Apply) -> None:
        self.topic = topic
        self.applied = -1
        self.repeats = 0
        self.filled = 0
        self._fetch = fetch
        self._apply = apply
        self._active = False
        self._lock = asyncio.Lock()

    @property
    def active(self) -> bool:
        return self._active

    def stop(self) -> None:
        """Apply nothing more until `start`: the partition is being taken away."""
        self._active = False

    async def start(self, applied: int) -> None:
        """Go on after `applied`, once what is being applied now has ended."""
        async with self._lock:
            self.applied = applied
            self._active = True

    async def offer(self, record: Record) -> None:
        """Apply a delivered record, and before it whatever delivery left out."""
        async with self._lock:
            if not self._active:
                return
            if record.offset <= self.applied:
                self.repeats += 1
                return
            if record.offset > self.applied + 1:
                await self._fill(record.offset)
            if self._active and record.offset == self.applied + 1:
                await self._take(record)

    async def catch_up(self, through: int | None = None) -> None:
        """Apply what lies on the log up to and with `through`, by default up to its end."""
        async with self._lock:
            if self._active and (through is None or through > self.applied):
                await self._fill(None if through is None else through + 1)

    async def _fill(self, end: int | None) -> None:
        while records := await self._fetch(self.topic, self.applied + 1, end):
            for record in records:
                if not self._active:
                    return
                if record.offset > self.applied + 1:
                    raise RunError(
                        f"Offsets {self.applied + 1} to {record.offset - 1} of {self.topic} are not on the log any "
                        "more, and nothing may be decided without them. Restore the run's topics, or start another run."
                    )
                if record.offset == self.applied + 1:
                    await self._take(record)
                    self.filled += 1

    async def _take(self, record: Record) -> None:
        await self._apply(record)
        self.applied = record.offset
