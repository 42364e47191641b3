"""Feeds of rows, and the one that reads a live log ahead of the steps.

A `Feed` gives a rank the rows of its clusters, in log order within a cluster. How far it reads ahead does not matter:
a checkpoint's positions count rows that were taken into batches.

`LogFeed` reads in a thread, at most `_AHEAD` rows a cluster beyond what was taken. A live pass ends when all rows were
given and either `until_end` is set or the run was stopped and not started again; this is checked only while a caller
waits for rows. A pass with limits gives exactly the rows before them. A record that cannot be read goes to
`dead_letter` and is skipped, with a note. With a threshold, a row is given once it is judged, and never if its score is
below.

Rows are on `kept`, or on `answered` in a run that answers kept instructions alone; there a row whose answer is not used
is passed over. With `until_end` the pass then goes on until every row on `kept` is answered, unless `await_answers` is
false. It does not wait for that in a run that was stopped: its answerers have ended too, and nothing more comes.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from consumers.trainer.data.score_threshold import ScoreThreshold
from consumers.trainer.data.unanswered_rows import UnansweredRows
from infra.log.reader import LogReader
from infra.log.record import Partition, Record
from infra.settings import Settings
from schemas.errors import RunError, TopicMismatch
from schemas.events import InstructionJudged, RunStarted, RunStopped
from streams.core.answering import usable_row
from streams.core.batches import KeptRow, PartitionPosition

_POLL_S = 0.1
_AHEAD = 32
_POLL_RECORDS = 200


@dataclass(frozen=True)
class FedRows:
    """What a feed gives at once.

    notes       lines to print
    at_end      there is nothing left to read
    unjudged    rows that wait for their score
    unanswered  clusters with kept rows that wait for their answer
    left_out    rows that were dropped because nothing can be learned from them
    """

    rows: tuple[KeptRow, ...] = ()
    notes: tuple[str, ...] = ()
    at_end: bool = False
    unjudged: int = 0
    unanswered: int = 0
    left_out: int = 0


class Feed(Protocol):
    """Gives one rank its rows, one pass (an epoch) after another."""

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        """Begin a pass over the clusters of `positions`, from there on: live, or up to `limits`."""
        ...

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        """The rows since the last call; waits up to `wait_s` for some.

        `at_end` is set only for a call that waits. It means the stream's end, with `to_end` the log's current end.
        """
        ...

    def close(self) -> None: ...


class LogFeed:
    """The rows of a run's live log. `dead_letter` takes a record that cannot be read and returns what was done with it.

    topic   that has the rows: `kept` or `answered`

    Raises TopicMismatch when it does not have `clusters` partitions, RunError for a threshold without a judge.
    """

    def __init__(
        self,
        settings: Settings,
        run: str,
        clusters: int,
        *,
        topic: str = "kept",
        until_end: bool,
        await_answers: bool = True,
        dead_letter: Callable[[Record], str],
        threshold: ScoreThreshold | None = None,
    ) -> None:
        self._until_end = until_end
        self._await_answers = await_answers and topic != "kept"
        self._dead_letter = dead_letter
        self._threshold = threshold
        self._topic = topic
        self._topics = tuple(dict.fromkeys((topic, "kept")))  # of which each cluster is a partition
        self._unanswered = UnansweredRows()
        self._reader = LogReader(settings, run, [*self._topics, "run", *(["judged"] if threshold else [])], "trainer")
        self._partitions = range(clusters)
        found = self._reader.partitions(topic)
        if found != clusters:
            self._reader.close()
            raise TopicMismatch(
                f"Topic `{topic}` of run {run!r} has {found} partitions, but the run has {clusters} clusters: each "
                f"cluster needs one. `sedi topics plan --run {run}` shows what is wrong."
            )
        if threshold is not None and not self._reader.partitions("judged"):
            self._reader.close()
            raise RunError(
                f"Run {run!r} has no topic `judged`, but only rows with a score are to be trained. Start "
                f"`sedi judge --run {run}` first: it creates the topic."
            )
        self._clusters: tuple[int, ...] = ()
        self._limits: Mapping[int, PartitionPosition] | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(1, "kept")
        self._reading: Future[None] | None = None
        self._closing = False
        self._waits_for_log_end: bool | None = None  # None: nobody waits; False: a caller waits for the stream's end
        self._rows: list[KeptRow] = []
        self._notes: list[str] = []
        self._at_end = False
        self._unjudged = 0
        self._unanswered_clusters = 0

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        self._stop_reading()
        self._clusters, self._limits = tuple(positions), limits
        self._rows, self._notes, self._at_end, self._waits_for_log_end = [], [], False, None
        self._unjudged = self._unanswered_clusters = 0
        if self._threshold is not None:
            self._threshold.forget_rows()
        self._unanswered.begin(positions)
        for topic in self._topics:
            self._reader.pause((topic, other) for other in self._partitions if other not in positions)
        ends = self._reader.ends() if len(self._topics) > 1 else {}
        for cluster, position in positions.items():
            self._reader.seek(self._topic, cluster, position.offset)
            for topic in self._topics[1:]:  # from the last row at the latest, which says whether all are answered
                self._reader.seek(topic, cluster, max(0, min(position.offset, ends[topic, cluster] - 1)))
        self._closing = False
        self._reading = self._pool.submit(self._read_on)

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        deadline = time.monotonic() + wait_s
        with self._changed:
            waits_for_log_end = to_end if wait_s else None
            if waits_for_log_end is not self._waits_for_log_end:
                self._waits_for_log_end, self._at_end = waits_for_log_end, False
            while not (self._rows or self._notes or self._at_end):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            fed = FedRows(
                tuple(self._rows), tuple(self._notes), self._at_end, self._unjudged, self._unanswered_clusters
            )
            self._rows, self._notes = [], []
            self._changed.notify_all()
        if self._reading is not None and self._reading.done():
            self._reading.result()  # raises the thread's error
        return fed

    def close(self) -> None:
        self._stop_reading()
        self._pool.shutdown()
        self._reader.close()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _stop_reading(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._reading is not None:
            wait([self._reading])
            self._reading = None

    def _read_on(self) -> None:
        while self._wait_for_room():
            records = self._reader.poll(_POLL_S, _POLL_RECORDS)
            notes: list[str] = []
            rows = [row for record in records if (row := self._row(record, notes)) is not None]
            if self._threshold is not None:
                rows = self._threshold.admitted(rows)
            with self._changed:
                waits_for_log_end = self._waits_for_log_end
                self._unjudged = 0 if self._threshold is None else self._threshold.waiting
                self._unanswered_clusters = self._unanswered.clusters
                self._rows += rows
                self._notes += notes
                self._at_end = self._at_end and not records
                self._changed.notify_all()
            if waits_for_log_end is not None and (not records or self._limits is not None):
                at_end = self._is_at_end(waits_for_log_end)
                with self._changed:
                    self._at_end = at_end and self._waits_for_log_end is waits_for_log_end
                    self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        """False when the pass is over."""
        with self._changed:
            while not self._closing and len(self._rows) >= _AHEAD * len(self._clusters):
                self._changed.wait()
            return not self._closing

    def _row(self, record: Record, notes: list[str]) -> KeptRow | None:
        if record.topic == "run":
            if isinstance(record.event, RunStarted | RunStopped):
                self._stopped = isinstance(record.event, RunStopped)
            return None
        if record.topic == "judged":
            if isinstance(record.event, InstructionJudged) and self._threshold is not None:
                self._threshold.apply(record.event)
            return None
        if self._limits is not None and record.offset >= self._limits[record.partition].offset:
            return None
        if record.event is not None and len(self._topics) > 1:
            self._unanswered.apply(record.event)
        if record.topic != self._topic:
            return None
        if record.event is not None:
            row = usable_row(record.event)
            return None if row is None else KeptRow(record.offset, row)
        place = f"Offset {record.offset} of partition {record.partition} of `{record.topic}`"
        notes.append(f"{place} cannot be read ({record.error}): {self._dead_letter(record)}.")
        return None

    def _is_at_end(self, of_log: bool) -> bool:
        """Whether all rows of this pass were given: up to the stream's end, or with `of_log` the log's current end."""
        if self._unjudged:
            return False
        if self._limits is not None:
            ends = {cluster: position.offset for cluster, position in self._limits.items()}
        elif of_log or self._until_end or self._stopped:
            found = self._reader.ends()
            if self._reader.position("run", 0) < found["run", 0]:
                return False  # the run may have been started again
            ends = {partition: end for (topic, partition), end in found.items() if topic == self._topic}
            waits = self._await_answers and not (of_log or self._stopped)
            if waits and not self._all_are_answered(found):
                return False
        else:
            return False
        return all(self._reader.position(self._topic, cluster) >= ends[cluster] for cluster in self._clusters)

    def _all_are_answered(self, ends: Mapping[Partition, int]) -> bool:
        are_read = all(self._reader.position("kept", cluster) >= ends["kept", cluster] for cluster in self._clusters)
        return are_read and not self._unanswered.clusters
