"""Batches with equally many rows of each cluster, in slot order (paper, section on the classifier).

Each cluster has a queue, fed in log order. Slot s of a batch takes a row of cluster s modulo the number of clusters.
When a cluster has too few rows, the batch waits, or the slot borrows the oldest row of the fullest cluster (ties: the
lowest number). A borrowed row's cluster is not that of its slot.

Guarantees: each queue is first in, first out, so one position per cluster records what was taken; duplicates, by
(generated_offset, place), are dropped; the same rows give the same batches whenever they are fed, unless a row is
borrowed before the end of the stream. When to wait and when to borrow is the caller's decision.

The plan of slots depends on the queue lengths alone (`plan_batch`, `plan_last`). So ranks that hold a share of the
clusters each make the same plan, and each takes its own rows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Literal

from schemas.errors import TrainerError
from schemas.events import InstructionKept

WhenEmpty = Literal["wait", "borrow"]


@dataclass(frozen=True)
class KeptRow:
    """A kept instruction and its offset in the partition of its cluster."""

    offset: int
    kept: InstructionKept

    @property
    def key(self) -> tuple[int, int]:
        """Its position in the run's total order."""
        return self.kept.generated_offset, self.kept.place


@dataclass(frozen=True)
class PartitionPosition:
    """A consumer position: the next offset to read, and the key of the last row taken."""

    offset: int = 0
    key: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class SlotRow:
    """A row in a slot of a batch."""

    slot: int
    row: KeptRow

    @property
    def cluster(self) -> int:
        return self.row.kept.cluster


Batch = tuple[SlotRow, ...]

Plan = tuple[tuple[int, int], ...]
"""The (slot, cluster) of each row of a batch, in slot order."""


@dataclass
class _Queue:
    rows: deque[KeptRow] = field(default_factory=deque)
    last_key: tuple[int, int] = (-1, -1)
    taken: PartitionPosition = PartitionPosition()


class BatchQueues:
    """The rows read and not yet taken, by cluster. `clusters` are those of this process."""

    def __init__(self, clusters: Iterable[int], positions: Mapping[int, PartitionPosition] | None = None) -> None:
        starts = positions or {}
        self._queues = {cluster: _queue(starts.get(cluster, PartitionPosition())) for cluster in sorted(clusters)}

    @property
    def waiting(self) -> dict[int, int]:
        """The length of each cluster's queue."""
        return {cluster: len(queue.rows) for cluster, queue in self._queues.items()}

    @property
    def positions(self) -> dict[int, PartitionPosition]:
        """The position of each cluster; queues restored from these give the same next batch."""
        return {cluster: queue.taken for cluster, queue in self._queues.items()}

    def feed(self, row: KeptRow) -> bool:
        """Add a row to the queue of its cluster; False for a duplicate, which is dropped."""
        queue = self._queues[row.kept.cluster]
        if row.key <= queue.last_key:
            return False
        queue.last_key = row.key
        queue.rows.append(row)
        return True

    def drop(self, is_unwanted: Callable[[KeptRow], bool]) -> int:
        """Take rows out of the queues that are not to be trained; returns how many. The others stay in their order."""
        before = sum(self.waiting.values())
        for queue in self._queues.values():
            queue.rows = deque(row for row in queue.rows if not is_unwanted(row))
        return before - sum(self.waiting.values())

    def ahead(self, depth: int) -> Iterator[KeptRow]:
        """The oldest `depth` rows of each queue, without taking them."""
        for queue in self._queues.values():
            yield from islice(queue.rows, depth)

    def next_batch(self, size: int, when_empty: WhenEmpty) -> Batch | None:
        """The next full batch of `size` rows; None, and nothing is taken, when the queues do not suffice."""
        plan = plan_batch(self.waiting, size, when_empty)
        return None if plan is None else self.take_planned(plan)

    def last_batch(self, size: int) -> Batch | None:
        """The rest, when there is no full batch any more (`plan_last`). None when nothing is left."""
        return self.take_planned(plan_last(self.waiting, size)) or None

    def take_planned(self, plan: Iterable[tuple[int, int]]) -> Batch:
        """The rows of a plan that are in these queues: for each (slot, cluster) the cluster's oldest."""
        batch = []
        for slot, cluster in plan:
            if cluster in self._queues:
                queue = self._queues[cluster]
                row = queue.rows.popleft()
                queue.taken = PartitionPosition(row.offset + 1, row.key)
                batch.append(SlotRow(slot, row))
        return tuple(batch)

    def holds(self, sources: Sequence[tuple[int, int]], ids: Sequence[str]) -> bool:
        """Whether these queues have the next rows as recorded on the log, as far as the clusters are theirs.

        Raises TrainerError when the rows have other ids.
        """
        needed: dict[int, int] = {}
        for (_, cluster), wanted in zip(sources, ids, strict=True):
            if cluster not in self._queues:
                continue
            rows = self._queues[cluster].rows
            depth = needed.get(cluster, 0)
            if depth >= len(rows):
                return False
            if rows[depth].kept.id != wanted:
                raise TrainerError(
                    f"The training log says that row {wanted} of cluster {cluster} was trained next, but the log has "
                    f"{rows[depth].kept.id} there. The windows were made from other rows: train under another run, "
                    "or without writing to the log."
                )
            needed[cluster] = depth + 1
        return True


def plan_batch(waiting: Mapping[int, int], size: int, when_empty: WhenEmpty) -> Plan | None:
    """The next full batch, from the queue lengths; None when they do not suffice.

    `size`: its slots, a multiple of the number of clusters.
    """
    left = dict(sorted(waiting.items()))
    if sum(left.values()) < size or (when_empty == "wait" and min(left.values()) < size // len(left)):
        return None
    plan = []
    for slot, home in _slots(left, size):
        source = home if left[home] else _fullest(left)
        left[source] -= 1
        plan.append((slot, source))
    return tuple(plan)


def plan_last(waiting: Mapping[int, int], size: int) -> Plan:
    """The last, partial batch: rows in slots of their own cluster first, the rest in empty slots from the lowest on.
    Empty when nothing is left."""
    left = dict(sorted(waiting.items()))
    places: dict[int, int] = {}
    for slot, home in _slots(left, size):
        if left[home]:
            places[slot] = home
            left[home] -= 1
    for slot in range(size):
        source = _fullest(left)
        if slot not in places and left[source]:
            places[slot] = source
            left[source] -= 1
    return tuple(sorted(places.items()))


def clusters_of_rank(rank: int, world: int, clusters: int) -> range:
    """The clusters (partitions) p of rank `rank` of `world`: those with p * world // clusters = rank.

    Raises TrainerError when the ranks cannot share them evenly.
    """
    if clusters % world:
        raise TrainerError(
            f"{world} processes cannot share {clusters} clusters evenly: each reads some of them whole. Start a number "
            f"that divides {clusters}, or train the run's rows from a file (`--offline --data`)."
        )
    share = clusters // world
    return range(rank * share, (rank + 1) * share)


def _queue(start: PartitionPosition) -> _Queue:
    return _Queue(last_key=start.key, taken=start)


def _slots(clusters: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    """Each slot of a batch with its cluster."""
    return zip(range(size), cycle(clusters), strict=False)


def _fullest(waiting: Mapping[int, int]) -> int:
    return max(waiting, key=lambda cluster: (waiting[cluster], -cluster))
