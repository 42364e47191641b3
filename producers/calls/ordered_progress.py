"""What is known of work in order (`producers.calls.ordered_work`), kept up to date from the log: the ledger, and which
items are done.

A process that was killed and starts again knows what it knew before: which events are written, which calls of the
others were answered (and are not paid again), and their numbers in its lane of the ledger.

The topics are read at every start; the one with the events first, so that only calls of items that are not done are
held in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from infra.log.closing import Closing
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.batches import BatchEnded, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.events import CallAnswered, CallFailed, CallStarted, Event

P = TypeVar("P", bound="OrderedProgress")


@dataclass
class OrderedProgress(LaneProgress):
    """The state of the fold. Its lane writes no generations; its calls are held by item, which is named by the id of
    its event.

    done   ids of the items whose events are on the log
    """

    done: set[str] = field(default_factory=set)
    _calls: dict[str, set[str]] = field(default_factory=dict)  # request ids, by item
    _requests: dict[str, int] = field(default_factory=dict)  # the last attempt, by request id

    def finishes(self, event: Event, id: str) -> bool:
        """Whether an event of this id ends an item of this work."""
        raise NotImplementedError

    def asks(self, started: CallStarted) -> bool:
        """Whether a call is one of this work."""
        return started.lane == self.lane

    def apply(self, record: Record) -> None:
        """Apply one record. Records must come in log order within each topic; repeats have no effect."""
        match record.event:
            case CallStarted() | CallAnswered() | CallFailed() as event if self.ledger.apply(event, record.id):
                self.batches.apply(event)
                self._take(event)
            case BatchPrepared() | BatchUploaded() | BatchSubmitted() | BatchEnded() as event:
                self.batches.apply(event)
            case Event() as event if self.finishes(event, record.id):
                self.done.add(record.id)
                for request_id in self._calls.pop(record.id, ()):
                    self._requests.pop(request_id, None)
                    self.answers.pop(request_id, None)
            case _:
                pass

    def next_attempt(self, request_id: str) -> int:
        return self._requests.get(request_id, 0) + 1

    def attempts(self) -> dict[str, int]:
        return dict(self._requests)

    def number_of(self, item: str) -> int | None:
        """The number that an item was begun with, if the ledger still has it."""
        state = self.ledger.requests.get(ids.request_id(item, 0))
        return None if state is None or not state.lane else state.number

    @property
    def next_free(self) -> int:
        """The number after the lane's newest."""
        lane = self.ledger.lanes.get(self.lane)
        return 0 if lane is None else lane.newest + 1

    def unfinished(self) -> int:
        """Items that were begun and whose events are not on the log."""
        return len(self._calls)

    def _take(self, event: CallStarted | CallAnswered | CallFailed) -> None:
        match event:
            case CallStarted() if event.generation_id not in self.done and self.asks(event):
                self._calls.setdefault(event.generation_id, set()).add(event.request_id)
                self._requests[event.request_id] = max(event.attempt, self._requests.get(event.request_id, 0))
            case CallAnswered() if event.request_id in self._requests:
                self.answers.setdefault(event.request_id, event)
            case _:
                pass


class OrderedReader(Closing, Generic[P]):
    """Keeps a progress up to date from the log; one thread at a time. `topics`: `calls` comes last."""

    def __init__(self, settings: Settings, progress: P, topics: Sequence[str], client: str) -> None:
        self.progress = progress
        run = progress.configured.run
        self._readers = [LogReader(settings, run, [topic], f"{client}-{topic}") for topic in topics]
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> P:
        """Apply everything that is on the log now."""
        for reader in self._readers:
            for record in reader.read_to_end():
                self.progress.apply(record)
        return self.progress

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
