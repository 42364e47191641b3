"""From `kept` to batches: one pass over the log (an epoch), from given positions, live or up to a fixed end.

Reads no more than it needs: only when the queues cannot make the next batch. The stream of a live epoch ends when
`until_end` is set, or when the run was stopped and not started again, and everything that was there by then has been
taken into a queue; after that nothing more is read and empty clusters borrow. A later epoch reads exactly the rows that
the first one trained (up to its last positions), so all epochs train the same rows.

A record that cannot be read, or lies in the wrong partition, goes to the dead letters and is passed over.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.log import LogReader
from infra.record import Record
from infra.settings import Settings
from schemas.errors import TopicMismatch, TrainerError
from schemas.events import InstructionKept, RunStarted, RunStopped, StepLogged
from streams.core.batches import Batch, BatchQueues, Position, Row, clusters_of_rank

_POLL_S = 0.25


@dataclass(frozen=True)
class Ends:
    """When a live stream ends, and what it does without a whole batch; see TrainOptions."""

    until_end: bool = False
    last_batch: bool = False
    borrow_after_s: float | None = None


class RowStream:
    """The batches of one epoch after another. One process takes all clusters; a rank takes its share of them.

    `dead_letter` is given each record that cannot be read; `say` takes a line for the terminal.
    """

    def __init__(
        self,
        settings: Settings,
        run: str,
        batch_size: int,
        ends: Ends,
        *,
        dead_letter: Callable[[Record], object],
        say: Callable[[str], None],
    ) -> None:
        self._ends = ends
        self._dead_letter = dead_letter
        self._say = say
        self._clusters = clusters_of_rank(0, 1, batch_size)
        self._reader = LogReader(settings, run, ["kept", "run"], "trainer")
        found = self._reader.partitions("kept")
        if found != batch_size:
            self._reader.close()
            raise TopicMismatch(
                f"Topic `kept` of run {run!r} has {found} partitions, but the run's batch_size is {batch_size}: there "
                f"must be one for each cluster. `sedi topics plan --run {run}` shows what is wrong."
            )
        self._limits: Mapping[int, Position] | None = None
        self._queues = BatchQueues(self._clusters)
        self._stopped = self._ended = False
        self._live = True

    @property
    def positions(self) -> dict[int, Position]:
        """How far each partition has been taken into batches."""
        return self._queues.positions

    @property
    def waiting(self) -> dict[int, int]:
        """Rows read and not yet taken, by cluster."""
        return self._queues.waiting

    def open(self, positions: Mapping[int, Position], limits: Mapping[int, Position] | None = None) -> None:
        """Start an epoch at `positions`, live, or up to `limits`."""
        self._queues = BatchQueues(self._clusters, positions)
        self._limits = limits
        self._live = limits is None
        self._ended = False
        for cluster, position in self._queues.positions.items():
            self._reader.seek("kept", cluster, position.offset)

    def next_batch(self, stop: Callable[[], bool]) -> Batch | None:
        """The next batch; waits for rows. None when the stream has ended, or `stop` says so (then nothing is taken)."""
        since, told = time.monotonic(), False
        while not stop():
            borrow = self._ended or self._patience_is_over(since)
            batch = self._queues.next_batch("borrow" if borrow else "wait")
            if batch is None and self._ended:
                return self._queues.last_batch() if self._ends.last_batch or not self._live else None
            if batch is not None:
                return batch
            if not self._read() and not self._ended and not told:
                told = self._tell(since)
        return None

    def logged_batch(self, step: StepLogged, stop: Callable[[], bool]) -> Batch | None:
        """The batch of a step that the training log has already; None when `stop` says so."""
        sources = [(row.slot, row.cluster) for row in step.rows]
        while not stop():
            batch = self._queues.take(sources, [row.id for row in step.rows])
            if batch is not None:
                return batch
            if self._ended:
                raise TrainerError(
                    f"The training log has step {step.step} with rows that `kept` no longer has. Its windows were made "
                    "from another log: train under another run, or without writing to the log."
                )
            self._read(to_end=True)
        return None

    def close(self) -> None:
        self._reader.close()

    def _read(self, to_end: bool = False) -> bool:
        """Read what has come into the queues; True when there was a row. Finds out whether the stream has ended."""
        records = self._reader.poll(_POLL_S)
        taken = [self._take(record) for record in records]
        if not records and (to_end or not self._live or self._ends.until_end or self._stopped):
            self._ended = self._at_end()
        return any(taken)

    def _at_end(self) -> bool:
        if self._limits is not None:
            ends = {cluster: position.offset for cluster, position in self._limits.items()}
        else:
            found = self._reader.ends()
            if self._reader.position("run", 0) < found["run", 0]:
                return False  # the run may have been started again
            ends = {partition: end for (topic, partition), end in found.items() if topic == "kept"}
        return all(self._reader.position("kept", cluster) >= ends[cluster] for cluster in self._clusters)

    def _take(self, record: Record) -> bool:
        if record.topic == "run":
            if isinstance(record.event, RunStarted | RunStopped):
                self._stopped = isinstance(record.event, RunStopped)
            return False
        if self._limits is not None and record.offset >= self._limits[record.partition].offset:
            return False
        match record.event:
            case InstructionKept() as kept:
                return self._queues.feed(Row(record.offset, kept))
            case _:
                self._dead_letter(record)
        return False

    def _patience_is_over(self, since: float) -> bool:
        patience = self._ends.borrow_after_s
        return patience is not None and time.monotonic() - since >= patience

    def _tell(self, since: float) -> bool:
        if time.monotonic() - since < 1.0:
            return False
        empty = [cluster for cluster, rows in self.waiting.items() if not rows]
        stopped = " The run has been stopped." if self._stopped else ""
        self._say(f"Waiting for rows: {len(empty)} of {len(self._clusters)} clusters are empty ({empty}).{stopped}")
        return True
