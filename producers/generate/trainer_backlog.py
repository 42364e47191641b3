"""How far a generator is ahead of the trainer: the number of kept rows not trained yet.

A row counts as trained once it, or a later row of its cluster, is in a logged batch. So rows that a trainer skips,
because a judge scored them too low, do not count once it is past them. The training log has the generation of each
trained row but not its place in it, so once one row of a generation is trained, the others of the same cluster count as
trained too. Rows trained but not logged yet (the trainer logs whole windows) count as untrained.

In a run that answers kept instructions alone, rows that wait for their answer count, and those whose answer is not used
do not: no trainer will ever take them.

`LaneProgress.untrained_at_most` is an upper bound that needs no row. The rows are read, from the last trained ones on,
only once that bound exceeds the limit.
"""

from collections import deque
from collections.abc import Mapping

from infra.log.reader import LogReader
from infra.settings import Settings
from schemas.events import InstructionAnswered, InstructionKept, RunConfigured
from streams.core.answering import rows_topic

_Key = tuple[int, int]


class TrainerBacklog:
    """The rows by cluster: a fold of `kept` and `answered`, each partition in order, deduplicated.

    The two topics may come in any order against each other.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[_Key]] = {}
        self._last: dict[int, _Key] = {}
        self._unused: dict[int, set[_Key]] = {}

    def keep(self, row: InstructionKept) -> None:
        """Add a row."""
        key = row.generated_offset, row.place
        if key > self._last.get(row.cluster, (-1, -1)):
            self._last[row.cluster] = key
            self._waiting.setdefault(row.cluster, deque()).append(key)

    def leave_out(self, row: InstructionKept) -> None:
        """Do not count a row, before or after it is added: its answer is not used."""
        self._unused.setdefault(row.cluster, set()).add((row.generated_offset, row.place))

    def count(self, trained_to: Mapping[int, int]) -> int:
        """Rows of later generations than the last trained one of their cluster, which must never decrease."""
        for cluster, waiting in self._waiting.items():
            last = trained_to.get(cluster, -1)
            while waiting and waiting[0][0] <= last:
                waiting.popleft()
            if cluster in self._unused:
                self._unused[cluster] = {key for key in self._unused[cluster] if key[0] > last}
        return sum(
            key not in self._unused.get(cluster, ()) for cluster, waiting in self._waiting.items() for key in waiting
        )


class TrainerBacklogReader:
    """Keeps a `TrainerBacklog` up to date from the log; one thread at a time. It connects on the first `count`."""

    def __init__(self, settings: Settings, configured: RunConfigured, lane: str) -> None:
        self._settings = settings
        self._run = configured.run
        self._topics = tuple(dict.fromkeys(("kept", rows_topic(configured.policy))))
        self._component = f"generator-{lane}-untrained"
        self._rows = TrainerBacklog()
        self._reader: LogReader | None = None

    def count(self, trained: Mapping[int, int], trained_to: Mapping[int, int]) -> int:
        """Kept rows not trained yet.

        trained      rows in the training log, by cluster
        trained_to   the `generated` offset of the last of them
        """
        if self._reader is None:
            self._reader = LogReader(self._settings, self._run, self._topics, self._component)
            for (topic, cluster), end in self._reader.ends().items():
                # At least so many rows precede the first untrained one.
                self._reader.seek(topic, cluster, min(trained.get(cluster, 0), end))
        for record in self._reader.read_to_end():
            match record.event:
                case InstructionKept() as row:
                    self._rows.keep(row)
                case InstructionAnswered(row=row, reason=reason) if reason is not None:
                    self._rows.leave_out(row)
                case _:
                    pass
        return self._rows.count(trained_to)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
