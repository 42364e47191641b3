"""A backend whose calls are answered in batches.

`complete` puts its request into the next batch of its URL, and returns when that batch's outcome for it is read, which
may take a day. A batch is sent when it is full, or when no further request came for some seconds. An attempt that an
earlier process put into a batch is not sent again: it waits for that batch.
"""

import asyncio
from collections.abc import Callable, Sequence

from producers.backends.base import Answer, CallPlace, Request, generates_only
from producers.backends.batch.endpoint import BatchEndpoint
from producers.backends.batch.file import Missing, OutcomeLine, RequestLine, answer_of, request_line
from producers.backends.batch.lane import BatchHooks, BatchLane
from producers.backends.batch.options import MOST_BYTES, BatchOptions
from producers.backends.batch.services import Attempt, BatchLog
from producers.backends.openai import OpenAIBackend
from schemas.batches import BATCH_SUFFIX
from streams.core.batch_ledger import OpenBatch


class BatchBackend:
    """The calls of one lane. `open_batches`: those that an earlier process left."""

    def __init__(
        self,
        backend: OpenAIBackend,
        options: BatchOptions,
        lane: str,
        log: BatchLog,
        *,
        open_batches: dict[str, OpenBatch],
        persistent: Callable[[int], bool],
        notify: Callable[[str], None],
    ) -> None:
        self.name = backend.name
        self.model = backend.model
        self.started_as = f"{backend.name}{BATCH_SUFFIX}"
        self._backend = backend
        self._options = options
        self._left_open: dict[str, OpenBatch] | None = open_batches
        self._lane = BatchLane(
            BatchEndpoint(backend),
            options,
            lane,
            log,
            BatchHooks(self._deliver, self._again, self._fail),
            persistent,
            notify,
        )
        self._asked: dict[Attempt, tuple[RequestLine, asyncio.Future[OutcomeLine | Missing]]] = {}
        self._early: dict[Attempt, OutcomeLine | Missing] = {}  # outcomes that nobody waits for yet
        self._next: dict[str, list[RequestLine]] = {}  # of the next batch, by URL
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """The answer, once the batch that holds the request is over. Raises CallFailure for this request, and
        BackendError, BrokerError or RunError when no batch can be made any more."""
        generates_only(self.name, request)
        if self._left_open is not None:
            left, self._left_open = self._left_open, None
            self._lane.take_up(left)
        if self._error is not None:
            raise self._error
        attempt = place.request_id, place.attempt
        found = self._early.pop(attempt, None)
        if found is None:
            line = request_line(self._backend, request, place)
            future: asyncio.Future[OutcomeLine | Missing] = asyncio.get_running_loop().create_future()
            self._asked[attempt] = line, future
            if not self._lane.holds(attempt):
                self._collect(line)
            try:
                found = await future
            finally:
                del self._asked[attempt]
        return answer_of(self._backend, request, found)

    def booked(self, place: CallPlace) -> None:
        self._lane.booked((place.request_id, place.attempt))

    async def close(self) -> None:
        """Leave the open batches at the endpoint, and close connections."""
        if self._timer is not None:
            self._timer.cancel()
        await self._lane.close()
        await self._backend.close()

    def _collect(self, line: RequestLine) -> None:
        lines = self._next.setdefault(line.url, [])
        lines.append(line)
        if len(lines) >= self._options.size or sum(len(each.raw) + 1 for each in lines) >= MOST_BYTES:
            self._send(line.url)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._options.linger_s, self._send_all)

    def _send_all(self) -> None:
        for url in tuple(self._next):
            self._send(url)

    def _send(self, url: str) -> None:
        lines = [line for line in self._next.pop(url) if (line.request_id, line.attempt) in self._asked]
        if lines and self._error is None:
            self._lane.send(lines)

    def _deliver(self, attempt: Attempt, found: OutcomeLine | Missing) -> None:
        if attempt not in self._asked:
            self._early.setdefault(attempt, found)
        elif not (future := self._asked[attempt][1]).done():
            future.set_result(found)

    def _again(self, attempts: Sequence[Attempt]) -> None:
        """Put attempts into the next batch; those that nobody asks now, when they are asked."""
        for attempt in attempts:
            if attempt in self._asked:
                self._collect(self._asked[attempt][0])

    def _fail(self, error: Exception) -> None:
        """No batch can be made or read any more: everything that waits ends with this error."""
        self._error = self._error or error
        for _, future in self._asked.values():
            if not future.done():
                future.set_exception(self._error)
