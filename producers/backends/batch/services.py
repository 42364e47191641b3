"""What the batches of a lane work with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from producers.backends.base import Transient
from producers.backends.batch.endpoint import BatchEndpoint
from producers.backends.batch.file import Missing, OutcomeLine
from producers.backends.batch.options import BatchOptions
from schemas.errors import BackendError
from schemas.events import Event
from streams.core.batch_ledger import BatchLedger

T = TypeVar("T")

_LONGEST_PAUSE_S = 60.0

Attempt = tuple[str, int]
"""A request's id and the attempt at it."""

Deliver = Callable[[Attempt, OutcomeLine | Missing], None]


class BatchesRefused(BackendError):
    """The endpoint makes or knows no batch, and will not do so before somebody changes something."""

    permanent = True


class BatchLog(Protocol):
    """The run's log, for the events of batches."""

    async def write(self, event: Event, *, key: str, id: str, causation_id: str) -> None: ...

    async def batches(self) -> BatchLedger:
        """The fold as of the end of the log now."""
        ...


@dataclass(frozen=True)
class BatchServices:
    """What the batches of a lane work with.

    deliver      gets the outcome of an attempt, once
    ended        gets the id of a batch that is over, and its attempts without an outcome
    persistent   whether to go on after so many failures in a row
    """

    endpoint: BatchEndpoint
    options: BatchOptions
    lane: str
    log: BatchLog
    deliver: Deliver
    ended: Callable[[str, Sequence[Attempt]], None]
    persistent: Callable[[int], bool]
    notify: Callable[[str], None]

    async def insist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do something until it succeeds. Raises CallFailure when the endpoint refuses, BackendError when it fails too
        often."""
        failures = 0
        while True:
            try:
                return await action()
            except Transient as failure:
                failures += 1
                if not self.persistent(failures):
                    raise BackendError(
                        f"{failure} That was attempt {failures} in a row, the last one. Start again to continue: the "
                        "batches at the endpoint are taken up."
                    ) from failure
                pause = max(min(0.5 * 2.0**failures, _LONGEST_PAUSE_S), failure.retry_after_s or 0.0)
                if failures > 1:
                    self.notify(f"{failure} It is tried again in {pause:.0f} s")
                await asyncio.sleep(pause)
