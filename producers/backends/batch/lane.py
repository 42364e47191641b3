"""The open batches of one lane, each a task (`producers.backends.batch.work`).

What ends them all: an endpoint that refuses batches or cannot be reached. Then nothing is recorded as failed, and the
next start goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from producers.backends.base import CallFailure
from producers.backends.batch.endpoint import BatchEndpoint
from producers.backends.batch.file import RequestLine
from producers.backends.batch.options import BatchOptions
from producers.backends.batch.services import Attempt, BatchesRefused, BatchLog, BatchServices, Deliver
from producers.backends.batch.work import BatchAtWork, event_id, last_step
from schemas import ids
from schemas.errors import BackendError
from streams.core.batch_ledger import OpenBatch

_CLOSE_S = 30.0


@dataclass(frozen=True)
class BatchHooks:
    """Where the batches of a lane report to.

    deliver   gets the outcome of an attempt, once
    again     gets the attempts that wait for another batch
    fail      gets the error after which no batch can be made or read any more
    """

    deliver: Deliver
    again: Callable[[Sequence[Attempt]], None]
    fail: Callable[[Exception], None]


class BatchLane:
    """The open batches of a lane."""

    def __init__(
        self,
        endpoint: BatchEndpoint,
        options: BatchOptions,
        lane: str,
        log: BatchLog,
        hooks: BatchHooks,
        persistent: Callable[[int], bool],
        notify: Callable[[str], None],
    ) -> None:
        self._hooks = hooks
        self._notify = notify
        self._services = BatchServices(
            endpoint, options, lane, log, hooks.deliver, self._ended, persistent, self._with_counts
        )
        self._batches: dict[str, BatchAtWork] = {}
        self._holds: dict[Attempt, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def holds(self, attempt: Attempt) -> bool:
        """Whether an open batch holds an attempt."""
        return attempt in self._holds

    def take_up(self, open_batches: Mapping[str, OpenBatch]) -> None:
        """Go on with the batches that an earlier process left open."""
        for id, found in open_batches.items():
            batch = self._opened(id, set(found.lines.items()), found.size, event_id(id, last_step(found)))
            self._begin(batch, batch.resume(found))
        if open_batches:
            self._with_counts("Taking up the batches that an earlier start left")

    def send(self, lines: Sequence[RequestLine]) -> None:
        """Make a batch of requests of one URL."""
        attempts = {(line.request_id, line.attempt) for line in lines}
        cause = ids.child(lines[0].request_id, f"started/{lines[0].attempt}")
        batch = self._opened(str(uuid4()), attempts, len(lines), cause)
        self._begin(batch, batch.send(lines))

    def booked(self, attempt: Attempt) -> None:
        """The outcome of an attempt is on the log."""
        batch = self._batches.get(self._holds.pop(attempt, ""))
        if batch is not None:
            batch.booked(attempt)

    async def close(self) -> None:
        """Write the ends of batches that are over, and leave the others at the endpoint."""
        settled = [id for id, batch in self._batches.items() if batch.settled.is_set()]
        over = [self._tasks[id] for id in settled if id in self._tasks]
        if over:
            await asyncio.wait(over, timeout=_CLOSE_S)
        if self._batches:
            self._with_counts(
                "Batches are left at the endpoint, and nothing of them is lost or asked twice: the next start of this "
                "lane with --batch-api takes them up"
            )
        left = list(self._tasks.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _opened(self, id: str, attempts: set[Attempt], size: int, caused_by: str) -> BatchAtWork:
        batch = self._batches[id] = BatchAtWork(self._services, id, attempts, size, caused_by)
        self._holds |= dict.fromkeys(attempts, id)
        return batch

    def _begin(self, batch: BatchAtWork, work: Coroutine[Any, Any, None]) -> None:
        async def watched() -> None:
            try:
                await work
            except CallFailure as failure:  # about batches, so of no request: none is recorded as failed
                kind = BatchesRefused if failure.permanent else BackendError
                self._hooks.fail(kind(f"{failure} Nothing is lost: start again to continue."))
            except Exception as error:  # noqa: BLE001 - raised to every request of the lane
                self._hooks.fail(error)

        task = self._tasks[batch.id] = asyncio.create_task(watched())
        task.add_done_callback(lambda _: self._tasks.pop(batch.id, None))

    def _ended(self, id: str, left: Sequence[Attempt]) -> None:
        for attempt in self._batches.pop(id).unbooked:
            self._holds.pop(attempt, None)
        self._hooks.again(left)

    def _with_counts(self, text: str) -> None:
        self._notify(f"{text}; {len(self._batches)} open, with {len(self._holds):,} requests")
