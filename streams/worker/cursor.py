"""Restores the log's order in what Faust delivers, and hands it on in blocks.

Faust loses, repeats and reorders records around rebalances, and its committed offset may pass records that no agent has
seen. So no agent relies on delivery. A `Cursor` knows the last applied offset: a record at or below it is a repeat, the
next one is applied, and a later one proves a gap, which is filled by reading the log directly. A periodic `catch_up`
does the same when delivery has stopped.

Guarantees: while the cursor is active, `apply` gets every record of the partition from the start offset on, once each,
in offset order, one block at a time. If `apply` raises, its records count as not applied, and the next call gets them
again. Records that are missing on the log are never skipped: RunError. Nothing waits for a block to fill.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.log.record import Record
from schemas.errors import RunError

Fetch = Callable[[str, int, int | None], Awaitable[Sequence[Record]]]
Apply = Callable[[Sequence[Record]], Awaitable[int]]


class Cursor:
    """The position in one partition.

    applied            the last applied offset
    active             between `start` and `stop`
    repeats, filled    records that were dropped as repeats, and read to fill gaps

    `fetch(topic, start, end)` reads records [start, end) from the log (None: to its end), or only the first of them; an
    empty result means that there are none. `apply(records)` gets consecutive records, `block` at most, and returns how
    many of the first of them it applied; the others are the first of the next block.
    """

    def __init__(self, topic: str, fetch: Fetch, apply: Apply, block: int = 1) -> None:
        self.topic = topic
        self.applied = -1
        self.repeats = 0
        self.filled = 0
        self._fetch = fetch
        self._apply = apply
        self._block = block
        self.active = False
        self._lock = asyncio.Lock()

    def stop(self) -> None:
        """Apply nothing more until `start`: the partition is being revoked."""
        self.active = False

    async def settle(self) -> None:
        """Wait until the block being applied now is done. Until the next `await` no other one begins."""
        async with self._lock:
            pass

    async def start(self, applied: int) -> None:
        """Continue after the offset `applied`, once the block being applied now is done."""
        async with self._lock:
            self.applied = applied
            self.active = True

    async def offer(self, *records: Record) -> None:
        """Apply delivered records, after any records that were not delivered before them."""
        async with self._lock:
            ready: list[Record] = []  # they follow each other, and the last applied one
            for record in records:
                following = self.applied + len(ready) + 1
                if self.active and record.offset > following:
                    await self._take(ready)
                    ready = []
                    if self.active:
                        await self._fill(record.offset)
                    following = self.applied + 1
                if record.offset == following:
                    ready.append(record)
                elif self.active and record.offset < following:
                    self.repeats += 1
            await self._take(ready)

    async def catch_up(self, through: int | None = None) -> None:
        """Apply the log's records up to the offset `through`, by default to the end."""
        async with self._lock:
            if self.active and (through is None or through > self.applied):
                await self._fill(None if through is None else through + 1)

    async def _fill(self, end: int | None) -> None:
        while self.active and (records := await self._fetch(self.topic, self.applied + 1, end)):
            if not self.active:
                return
            following = [record for record in records if record.offset > self.applied]
            connected = [record for place, record in enumerate(following, self.applied + 1) if record.offset == place]
            before = self.applied
            await self._take(connected)
            self.filled += self.applied - before
            if self.active and len(connected) < len(following):
                found = following[len(connected)].offset
                raise RunError(
                    f"Offsets {self.applied + 1} to {found - 1} of {self.topic} are not on the log any "
                    "more, and are needed for every later decision. Restore the run's topics, or start another run."
                )

    async def _take(self, records: Sequence[Record]) -> None:
        """Apply consecutive records in blocks, as long as the cursor is active."""
        done = 0
        while self.active and done < len(records):
            taken = await self._apply(records[done : done + self._block])
            if taken:
                done += taken
                self.applied = records[done - 1].offset


def one_by_one(apply: Callable[[Record], Awaitable[None]]) -> Apply:
    """The `apply` of a cursor for an agent that takes single records."""

    async def first(records: Sequence[Record]) -> int:
        await apply(records[0])
        return 1

    return first
