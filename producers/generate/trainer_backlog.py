"""How far a generator is ahead of the trainer: the number of kept rows not trained yet.

A row counts as trained once it, or a later row of its cluster, is in a logged batch. So rows that a trainer skips,
because a judge scored them too low, do not count once it is past them. The training log has the generation of each
trained row but not its place in it, so once one row of a generation is trained, the others of the same cluster count as
trained too. Rows trained but not logged yet (the trainer logs whole windows) count as untrained.

`LaneProgress.untrained_at_most` is an upper bound that needs no row. The rows are read, from the last trained ones on,
only once that bound exceeds the limit.
"""

from collections import deque
from collections.abc import Mapping

from infra.log.reader import LogReader
from infra.settings import Settings
from schemas.events import InstructionKept


class TrainerBacklog:
    """The rows by cluster: a fold of `kept`, each partition in order, deduplicated."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[int]] = {}
        self._last: dict[int, tuple[int, int]] = {}

    def keep(self, row: InstructionKept) -> None:
        """Add a row."""
        key = row.generated_offset, row.place
        if key > self._last.get(row.cluster, (-1, -1)):
            self._last[row.cluster] = key
            self._waiting.setdefault(row.cluster, deque()).append(row.generated_offset)

    def count(self, trained_to: Mapping[int, int]) -> int:
        """Rows of later generations than the last trained one of their cluster, which must never decrease."""
        for cluster, waiting in self._waiting.items():
            last = trained_to.get(cluster, -1)
            while waiting and waiting[0] <= last:
                waiting.popleft()
        return sum(map(len, self._waiting.values()))


class TrainerBacklogReader:
    """Keeps a `TrainerBacklog` up to date from the log; one thread at a time. It connects on the first `count`."""

    def __init__(self, settings: Settings, run: str, lane: str) -> None:
        self._settings = settings
        self._run = run
        self._component = f"generator-{lane}-untrained"
        self._rows = TrainerBacklog()
        self._reader: LogReader | None = None

    def count(self, trained: Mapping[int, int], trained_to: Mapping[int, int]) -> int:
        """Kept rows not trained yet.

        trained      rows in the training log, by cluster
        trained_to   the `generated` offset of the last of them
        """
        if self._reader is None:
            self._reader = LogReader(self._settings, self._run, ["kept"], self._component)
            for (topic, cluster), end in self._reader.ends().items():
                # At least so many rows precede the first untrained one.
                self._reader.seek(topic, cluster, min(trained.get(cluster, 0), end))
        for record in self._reader.read_to_end():
            if isinstance(record.event, InstructionKept):
                self._rows.keep(record.event)
        return self._rows.count(trained_to)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
