"""What is known of work in order (`producers.calls.ordered_work`), kept up to date from the log: the ledger, and which
items are done.

A process that was killed and starts again knows what it knew before: which events are written, which calls of the
others were answered (and are not paid again), and their numbers in its lane of the ledger.

The topic with the events is read first, so that only calls of items that are not done are held in memory. With a
snapshot (`infra.snapshots`) a start goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from infra.log.closing import Closing
from infra.log.record import Record
from infra.settings import Settings
from infra.snapshots.files import SnapshotFile
from infra.snapshots.following import LogFollower, StateForm
from infra.snapshots.own_data import from_bytes, to_bytes
from producers.calls.queue_position import QueuePosition
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.batches import BatchEnded, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.errors import SchemaError
from schemas.events import CallAnswered, CallFailed, CallStarted, Event

P = TypeVar("P", bound="OrderedProgress")

CODE = (
    "producers/calls/ordered_progress.py",
    "producers/calls/ordered_work.py",
    "producers/calls/queue_position.py",
    "producers/calls/kept_rows.py",
    "producers/calls/answered_rows.py",
    "producers/generate/progress.py",
    "producers/generate/yield_window.py",
    "infra/log/answers.py",
)
"""What makes the state and the position, beside the class of the progress and the queue of its items."""

_MODULES = ("producers.calls.queue_position", "producers.generate.yield_window")
_PARTS = 2


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


@dataclass(frozen=True)
class OrderedSnapshot:
    """The snapshot of a progress of this class, which is alone in its module with what it is made of."""

    file: SnapshotFile
    kind: type[OrderedProgress]


class OrderedReader(Closing, Generic[P]):
    """Keeps a progress up to date from the log; one thread at a time.

    reached   where the queue of the items was when all before it were done (`producers.calls.queue_position`), as of
              the snapshot that it began with; None: none is known
    """

    def __init__(
        self,
        settings: Settings,
        begin: Callable[[], P],
        topics: Sequence[str],
        client: str,
        snapshot: OrderedSnapshot | None = None,
    ) -> None:
        """`begin` makes the state before the first record; `topics`: `calls` comes last. Without a snapshot all is
        read."""
        run = begin().configured.run
        self.reached: QueuePosition | None = None
        form = StateForm(
            begin=begin,
            apply=lambda progress, record: progress.apply(record),
            to_bytes=self._to_bytes,
            from_bytes=lambda raw: self._from_bytes(raw, snapshot),
        )
        file = None if snapshot is None else snapshot.file
        self._log = LogFollower(settings, run, topics, client, form, file, in_turn=True)
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    @property
    def progress(self) -> P:
        return self._log.state

    def refresh(self) -> P:
        """Apply everything that is on the log now."""
        return self._log.refresh()

    def keep(self, reached: QueuePosition | None = None, *, last: bool = False) -> None:
        """Write a snapshot where that pays; `reached` is where the queue is now. The `last` one pays sooner."""
        self.reached = reached or self.reached
        self._log.keep(last=last)

    def close(self) -> None:
        self._log.close()

    def _to_bytes(self, progress: P) -> bytes:
        return to_bytes((progress, self.reached))

    def _from_bytes(self, raw: bytes, snapshot: OrderedSnapshot | None) -> P:
        assert snapshot is not None
        found = from_bytes(raw, tuple, (snapshot.kind.__module__, *_MODULES))
        progress, reached = found if len(found) == _PARTS else (None, None)
        if not isinstance(progress, snapshot.kind) or not isinstance(reached, QueuePosition | None):
            raise SchemaError("no progress of such work")
        self.reached = reached
        return cast("P", progress)
