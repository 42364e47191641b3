"""Batches: one row of each cluster, in slot order (paper, section on the classifier; `papers` in the README).

A queue per cluster, fed in log order. Slot s of a batch is filled from cluster s; when that is empty the batch waits,
or the slot borrows the oldest row of the fullest cluster (ties: the lowest cluster number). A borrowed row shows it:
its slot is not its cluster.

Guarantees: within a cluster rows leave in the order they came, so what was taken is told by one position a cluster;
a row that was fed before, by its (generated_offset, place), is dropped; the same rows give the same batches whenever
they were fed, as long as nothing is borrowed before the stream has ended.
It knows nothing of time: when to wait and when to borrow is the caller's decision.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from schemas.errors import TrainerError
from schemas.events import InstructionKept

WhenEmpty = Literal["wait", "borrow"]


@dataclass(frozen=True)
class Row:
    """A kept instruction and its offset in the partition of its cluster."""

    offset: int
    kept: InstructionKept

    @property
    def key(self) -> tuple[int, int]:
        """Where it stands in the run's total order."""
        return self.kept.generated_offset, self.kept.place


@dataclass(frozen=True)
class Position:
    """How far a partition has been taken: the next offset to read, and the key of the last row taken."""

    offset: int = 0
    key: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class Placed:
    """A row in a slot of a batch."""

    slot: int
    row: Row

    @property
    def cluster(self) -> int:
        return self.row.kept.cluster

    @property
    def borrowed(self) -> bool:
        return self.slot != self.cluster


Batch = tuple[Placed, ...]


@dataclass
class _Queue:
    rows: deque[Row] = field(default_factory=deque)
    last_key: tuple[int, int] = (-1, -1)
    taken: Position = Position()


class BatchQueues:
    """The rows read and not yet taken, by cluster. `clusters` are those this process makes batches of."""

    def __init__(self, clusters: Iterable[int], positions: Mapping[int, Position] | None = None) -> None:
        starts = positions or {}
        self._queues = {cluster: _queue(starts.get(cluster, Position())) for cluster in sorted(clusters)}

    @property
    def waiting(self) -> dict[int, int]:
        """Rows in the queue of each cluster."""
        return {cluster: len(queue.rows) for cluster, queue in self._queues.items()}

    @property
    def positions(self) -> dict[int, Position]:
        """How far each cluster was taken; queues made from these and fed from there give the same next batch."""
        return {cluster: queue.taken for cluster, queue in self._queues.items()}

    def feed(self, row: Row) -> bool:
        """Put a row into the queue of its cluster; False when it is a repeat and was dropped."""
        queue = self._queues[row.kept.cluster]
        if row.key <= queue.last_key:
            return False
        queue.last_key = row.key
        queue.rows.append(row)
        return True

    def next_batch(self, when_empty: WhenEmpty) -> Batch | None:
        """The next whole batch, or None when the rows at hand do not make one; then nothing is taken."""
        empty = [cluster for cluster, queue in self._queues.items() if not queue.rows]
        if empty and (when_empty == "wait" or sum(self.waiting.values()) < len(self._queues)):
            return None
        return self._take((cluster, self._own_or_fullest(cluster)) for cluster in self._queues)

    def last_batch(self) -> Batch | None:
        """What is left when there is no whole batch any more: rows in their own slots first, the rest in empty slots
        from the lowest on. None when nothing is left."""
        left = self.waiting
        places = {cluster: cluster for cluster in self._queues if left[cluster]}
        for cluster in places:
            left[cluster] -= 1
        for slot in self._queues:
            source = _fullest(left)
            if slot not in places and left[source]:
                places[slot] = source
                left[source] -= 1
        return self._take(sorted(places.items())) or None

    def take(self, sources: Sequence[tuple[int, int]], ids: Sequence[str]) -> Batch | None:
        """The batch that the log says was made: for each (slot, cluster) the cluster's oldest row.

        None when a row has not been read yet. Raises TrainerError when the rows are not those with these ids.
        """
        needed: dict[int, int] = {}
        for (_, cluster), wanted in zip(sources, ids, strict=True):
            queue = self._queues.get(cluster, _Queue()).rows
            depth = needed.get(cluster, 0)
            if depth >= len(queue):
                return None
            if queue[depth].kept.id != wanted:
                raise TrainerError(
                    f"The training log says that row {wanted} of cluster {cluster} was trained next, but `kept` has "
                    f"{queue[depth].kept.id} there. The windows were made from other rows: train under another run, "
                    "or without writing to the log."
                )
            needed[cluster] = depth + 1
        return self._take(iter(sources))

    def _own_or_fullest(self, cluster: int) -> int:
        return cluster if self._queues[cluster].rows else _fullest(self.waiting)

    def _take(self, sources: Iterable[tuple[int, int]]) -> Batch:
        batch = []
        for slot, cluster in sources:
            queue = self._queues[cluster]
            row = queue.rows.popleft()
            queue.taken = Position(row.offset + 1, row.key)
            batch.append(Placed(slot, row))
        return tuple(batch)


def clusters_of_rank(rank: int, world: int, batch_size: int) -> range:
    """The clusters, which are partitions, of rank `rank` of `world`: those with p * world // batch_size = rank.

    Raises TrainerError when the ranks cannot share them evenly.
    """
    if batch_size % world:
        raise TrainerError(
            f"{world} processes cannot share batches of {batch_size} rows evenly. Start a number that divides "
            f"{batch_size}."
        )
    share = batch_size // world
    return range(rank * share, (rank + 1) * share)


def _queue(start: Position) -> _Queue:
    return _Queue(last_key=start.key, taken=start)


def _fullest(waiting: Mapping[int, int]) -> int:
    return max(waiting, key=lambda cluster: (waiting[cluster], -cluster))
