"""Batches and the calls that are asked in them: a fold of the `calls` topic, beside the ledger.

A call that is asked in a batch is *waiting* from its start until a batch holds it; it was not sent then. A batch is
*open* from its preparation to its end. An attempt that is in either is still to be had: a lane that starts again takes
it up, and makes no further one. The first batch that is prepared with a request holds it. Whatever a batch leaves
without an outcome waits again, since it was not carried out; unless the batch was given up.

The state is plain data, for snapshots.
"""

from dataclasses import dataclass

import msgspec

from schemas.batches import BATCH_SUFFIX, BatchEnded, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.events import CallAnswered, CallFailed, CallStarted, Event


class OpenBatch(msgspec.Struct):
    """A batch that has not ended.

    lines       attempts without an outcome, by request id
    size        requests at its start
    file_id     of its file at the endpoint; None: not uploaded, as far as the log says
    remote_id   of the batch at the endpoint; None: not submitted, as far as the log says
    """

    lane: str
    size: int
    lines: dict[str, int]
    file_id: str | None = None
    remote_id: str | None = None


class WaitingAttempt(msgspec.Struct, frozen=True):
    """A started attempt that is in no batch."""

    lane: str
    attempt: int


@dataclass(frozen=True)
class UnsettledAttempt:
    """An attempt that is still to be had; `batch`: the one that holds it, None while it is in none."""

    lane: str
    attempt: int
    batch: str | None


class BatchLedger(msgspec.Struct):
    """The state of the fold.

    open      batches that have not ended, by id, oldest first
    waiting   attempts that are in no batch, by request id
    held      the open batch of each request, by request id
    ended     how many batches ended, by status
    """

    open: dict[str, OpenBatch] = {}
    waiting: dict[str, WaitingAttempt] = {}
    held: dict[str, str] = {}
    ended: dict[str, int] = {}

    def apply(self, event: Event) -> bool:
        """Apply an event of `calls`, in log order. False for a repeat of a batch's event, and for other topics."""
        match event:
            case CallStarted():
                self.waiting.pop(event.request_id, None)
                if event.backend.endswith(BATCH_SUFFIX):
                    self.waiting[event.request_id] = WaitingAttempt(event.lane, event.attempt)
            case CallAnswered() | CallFailed():
                self._outcome(event.request_id, event.attempt)
            case BatchPrepared():
                return self._prepared(event)
            case BatchUploaded() if event.batch in self.open:
                self.open[event.batch].file_id = event.file_id
            case BatchSubmitted() if event.batch in self.open:
                self.open[event.batch].file_id = event.file_id
                self.open[event.batch].remote_id = event.remote_id
            case BatchEnded() if event.batch in self.open:
                self._ended(event)
            case _:
                return False
        return True

    def find(self, request_id: str) -> UnsettledAttempt | None:
        """The attempt at a request that is still to be had; None: there is none."""
        batch = self.held.get(request_id)
        if batch is not None:
            return UnsettledAttempt(self.open[batch].lane, self.open[batch].lines[request_id], batch)
        waiting = self.waiting.get(request_id)
        return None if waiting is None else UnsettledAttempt(waiting.lane, waiting.attempt, None)

    def of_lane(self, lane: str) -> dict[str, OpenBatch]:
        """The open batches of a lane, oldest first."""
        return {id: batch for id, batch in self.open.items() if batch.lane == lane}

    @property
    def requests(self) -> int:
        """Requests in open batches that have no outcome."""
        return len(self.held)

    def _prepared(self, event: BatchPrepared) -> bool:
        if event.batch in self.open:
            return False
        lines = {line.request_id: line.attempt for line in event.lines}
        mine = {
            id: attempt
            for id, attempt in lines.items()
            if (waiting := self.waiting.get(id)) is not None and waiting.attempt == attempt
        }
        for id in mine:
            del self.waiting[id]
            self.held[id] = event.batch
        self.open[event.batch] = OpenBatch(event.lane, len(event.lines), mine)
        return True

    def _outcome(self, request_id: str, attempt: int) -> None:
        batch, waiting = self.held.get(request_id), self.waiting.get(request_id)
        if batch is not None and self.open[batch].lines[request_id] == attempt:
            del self.held[request_id], self.open[batch].lines[request_id]
        if waiting is not None and waiting.attempt == attempt:
            del self.waiting[request_id]

    def _ended(self, event: BatchEnded) -> None:
        batch = self.open.pop(event.batch)
        self.ended[event.status] = self.ended.get(event.status, 0) + 1
        for request_id, attempt in batch.lines.items():
            del self.held[request_id]
            if event.status != "given_up":
                self.waiting[request_id] = WaitingAttempt(batch.lane, attempt)
