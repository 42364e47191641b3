"""Rows into batches over ranks: the same batches at any number of them, over epochs, from positions, from the log."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from consumers.trainer.data.archive_feed import MemoryFeed
from consumers.trainer.data.batches import RowStream, StreamEnds
from consumers.trainer.data.log_feed import FedRows
from consumers.trainer.distributed.process_group import ProcessGroup
from infra.models.templates import EncodedRow
from schemas.errors import TrainerError
from schemas.events import BatchRow, InstructionKept, StepLogged
from streams.core.batches import PartitionPosition
from tests.unit.trainer.tiny import kept

CLUSTERS = 4
LOG = [kept(number, (number * 7 + number // 5) % CLUSTERS) for number in range(40)] + [
    kept(number, 2) for number in range(40, 50)
]


class Together:
    """Ranks as threads of one process, each with a World that meets the others."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._meeting = threading.Barrier(size)
        self._said: list[Any] = [None] * size

    def group(self, rank: int) -> ProcessGroup:
        together = self

        class Threads(ProcessGroup):
            def all_gather(self, value: Any) -> list[Any]:
                together._meeting.wait(60)
                together._said[rank] = value
                together._meeting.wait(60)
                return list(together._said)

            def broadcast(self, value: Any) -> Any:
                return self.all_gather(value)[0]

        return Threads(rank, self.size)

    def run(self, work: Callable[[ProcessGroup], Any]) -> list[Any]:
        """What each rank's work returns; raises what one of them raises."""
        found: list[Any] = [None] * self.size

        def call(rank: int) -> None:
            done = False
            try:
                found[rank] = work(self.group(rank))
                done = True
            finally:
                if not done:
                    self._meeting.abort()  # so that nobody waits for it

        with ThreadPoolExecutor(self.size) as pool:
            calls = [pool.submit(call, rank) for rank in range(self.size)]
        for each in calls:
            each.result()
        return found


def encode(row: InstructionKept) -> EncodedRow:
    return EncodedRow((row.generated_offset, 1), 1, False)


def stream_of(feed: Any, group: ProcessGroup, last_batch: bool = True, lines: list[str] | None = None) -> RowStream:
    say = [].append if lines is None else lines.append
    return RowStream(feed, group, CLUSTERS, CLUSTERS, StreamEnds(last_batch), encode=encode, say=say)


def never() -> bool:
    return False


Batches = list[tuple[BatchRow, ...]]


def drained(stream: RowStream, mine: list[int]) -> Batches:
    """The batches to the end of the pass; `mine` gets the rows that this rank trained."""
    batches = []
    while not isinstance(share := stream.next_batch(never), str):
        batches.append(tuple(each.row for each in share.batch))
        mine += [encoded.tokens[0] for encoded in share.mine]
    assert share == "end"
    return batches


def trained(
    size: int, positions: Mapping[int, PartitionPosition] | None = None
) -> tuple[Batches, list[list[int]], Any]:
    """All batches of a pass by so many ranks, which rank trained which rows, and the positions at the end."""

    def work(group: ProcessGroup) -> tuple[Batches, list[int], Any]:
        stream, mine = stream_of(MemoryFeed(LOG), group), []
        stream.open(positions or {})
        found = drained(stream, mine)
        ends = stream.positions()
        stream.close()
        return found, mine, ends

    results = Together(size).run(work)
    assert all(batches == results[0][0] and ends == results[0][2] for batches, _, ends in results)
    return results[0][0], [mine for _, mine, _ in results], results[0][2]


def test_any_number_of_ranks_makes_the_same_batches_and_every_row_is_trained_once_by_its_clusters_rank() -> None:
    alone, _, ends = trained(1)
    assert any(row.slot != row.cluster for batch in alone for row in batch)
    for size in (2, 4):
        batches, by_rank, same_ends = trained(size)
        assert (batches, same_ends) == (alone, ends)
        clusters = {row.generated_offset: row.cluster for row in LOG}
        assert all(clusters[number] * size // CLUSTERS == rank for rank, mine in enumerate(by_rank) for number in mine)
        assert sorted(number for mine in by_rank for number in mine) == list(range(len(LOG)))


def test_positions_count_what_was_trained_and_not_what_was_read_ahead() -> None:
    def some(group: ProcessGroup) -> dict[int, PartitionPosition]:
        stream = stream_of(MemoryFeed(LOG), group)
        stream.open({})
        for _ in range(3):
            assert not isinstance(stream.next_batch(never), str)
        positions = stream.positions()
        stream.close()
        return positions

    positions = Together(2).run(some)[0]
    assert [position.offset for position in positions.values()] == [3] * CLUSTERS
    assert trained(2, positions)[0] == trained(1)[0][3:]


def test_a_later_epoch_trains_the_rows_of_the_first_and_no_others() -> None:
    def work(group: ProcessGroup) -> tuple[Batches, Batches]:
        stream = stream_of(MemoryFeed(LOG), group, last_batch=False)
        stream.open({})
        first = drained(stream, [])
        stream.open({}, stream.positions())
        again = drained(stream, [])
        stream.close()
        return first, again

    first, again = Together(2).run(work)[0]
    assert len([row for batch in first for row in batch]) == len(LOG) // CLUSTERS * CLUSTERS
    assert sorted(row.id for batch in first for row in batch) == sorted(row.id for batch in again for row in batch)


def logged(rows: Sequence[BatchRow]) -> StepLogged:
    return StepLogged(
        step=1, loss=1.0, loss_variance=0.0, grad_norm=1.0, learning_rate=1.0, tokens=1, seconds=0.1, rows=tuple(rows)
    )


def test_a_logged_batch_is_taken_as_the_log_has_it_whichever_ranks_hold_its_rows() -> None:
    by_cluster = {cluster: [row for row in LOG if row.cluster == cluster] for cluster in range(CLUSTERS)}
    rows = [
        BatchRow(id=row.id, slot=slot, cluster=row.cluster, generated_offset=row.generated_offset)
        for slot, row in enumerate([by_cluster[2][0], by_cluster[1][0], by_cluster[2][1], by_cluster[2][2]])
    ]

    def work(group: ProcessGroup) -> tuple[Any, Any]:
        stream = stream_of(MemoryFeed(LOG), group)
        stream.open({})
        share = stream.logged_batch(logged(rows), never)
        after = stream.next_batch(never)
        stream.close()
        return share, after

    (first, after), (second, _) = Together(2).run(work)
    assert not isinstance(first, str)
    assert [each.row for each in first.batch] == rows
    assert [len(first.mine), len(second.mine)] == [1, 3]
    assert after.batch[2].row.id == by_cluster[2][3].id


def test_a_logged_batch_whose_rows_are_gone_is_an_error_on_every_rank() -> None:
    rows = [BatchRow(id=row.id, slot=row.cluster, cluster=row.cluster, generated_offset=0) for row in LOG[-1:]]
    refused = []

    def work(group: ProcessGroup) -> None:
        stream = stream_of(MemoryFeed([]), group)
        stream.open({})
        with pytest.raises(TrainerError, match="no longer has"):
            stream.logged_batch(logged(rows), never)
        refused.append(group.rank)
        stream.close()

    Together(2).run(work)
    assert sorted(refused) == [0, 1]


def test_a_stop_asked_of_one_rank_ends_all_with_nothing_taken() -> None:
    def work(group: ProcessGroup) -> tuple[Any, dict[int, PartitionPosition]]:
        stream = stream_of(MemoryFeed(LOG), group)
        stream.open({})
        answer = stream.next_batch(lambda: group.rank == 1)
        positions = stream.positions()
        stream.close()
        return answer, positions

    for answer, positions in Together(2).run(work):
        assert answer == "stop"
        assert all(position.offset == 0 for position in positions.values())


def test_what_a_feed_has_to_say_is_said_and_counted() -> None:
    class Noting(MemoryFeed):
        def take(self, wait_s: float, to_end: bool = False) -> FedRows:
            fed = super().take(wait_s, to_end)
            return FedRows(fed.rows, ("offset 3 cannot be read",) if fed.rows else (), fed.at_end)

    lines: list[str] = []
    stream = stream_of(Noting(LOG[:4]), ProcessGroup(), lines=lines)
    stream.open({})
    drained(stream, [])
    stream.close()
    assert lines == ["offset 3 cannot be read"]
    assert stream.unreadable == 1


class InTurn(MemoryFeed):
    """A log that is read one cluster after the other."""

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        ends, unread = self._ends, [cluster for cluster, end in self._ends.items() if self._next[cluster] < end]
        self._ends = {cluster: ends[cluster] for cluster in unread[:1]}
        fed = super().take(wait_s)
        self._ends = ends
        return FedRows(fed.rows)


@pytest.mark.parametrize("size", [1, 2])
def test_an_empty_cluster_borrows_at_once_while_a_window_of_rows_waits_but_not_before_its_own_were_read(
    size: int,
) -> None:
    def work(group: ProcessGroup) -> Batches:
        ends = StreamEnds(borrow_after_s=30.0, window_rows=2 * CLUSTERS)
        stream = RowStream(
            InTurn(LOG), group, CLUSTERS, CLUSTERS, ends, encode=encode, say=lambda _: None, clock=lambda: 0.0
        )
        stream.open({})
        shares = [stream.next_batch(never) for _ in range(8 + 3)]
        stream.close()
        return [tuple(each.row for each in share.batch) for share in shares if not isinstance(share, str)]

    batches = Together(size).run(work)[0]
    borrowed = [sum(row.is_borrowed(CLUSTERS) for row in batch) for batch in batches]
    assert borrowed == [0] * 8 + [2] * 3, "the smaller clusters have eight rows each, the others eighteen and sixteen"
