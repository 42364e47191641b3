"""Batch composition: equally many rows of each cluster, waiting, borrowing, duplicates, the end, resuming."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TrainerError
from schemas.events import BatchRow, InstructionKept
from streams.core.batches import Batch, BatchQueues, KeptRow, PartitionPosition, clusters_of_rank


def row(number: int, cluster: int, offset: int | None = None) -> KeptRow:
    kept = InstructionKept(
        id=f"r{number}",
        instruction="do it",
        input="",
        output="done",
        generation_id="g",
        generated_offset=number,
        place=0,
        cluster=cluster,
        classifier_offset=0,
    )
    return KeptRow(number if offset is None else offset, kept)


def fed(clusters: int, *rows: KeptRow, positions: dict[int, PartitionPosition] | None = None) -> BatchQueues:
    queues = BatchQueues(range(clusters), positions)
    for each in rows:
        queues.feed(each)
    return queues


def shown(batch: Batch | None) -> list[tuple[int, int, str]] | None:
    return None if batch is None else [(placed.slot, placed.cluster, placed.row.kept.id) for placed in batch]


def test_a_batch_is_the_oldest_row_of_each_cluster_in_slot_order() -> None:
    queues = fed(2, row(0, 1), row(1, 1), row(2, 0), row(3, 0))
    assert shown(queues.next_batch(2, "wait")) == [(0, 0, "r2"), (1, 1, "r0")]
    assert shown(queues.next_batch(2, "wait")) == [(0, 0, "r3"), (1, 1, "r1")]
    assert queues.next_batch(2, "wait") is None


def test_a_batch_of_more_rows_than_clusters_takes_as_many_of_each() -> None:
    queues = fed(2, *(row(number, number % 2) for number in range(5)))
    assert shown(queues.next_batch(4, "wait")) == [(0, 0, "r0"), (1, 1, "r1"), (2, 0, "r2"), (3, 1, "r3")]
    queues.feed(row(5, 0))
    assert queues.next_batch(4, "wait") is None
    queues.feed(row(6, 0))
    queues.feed(row(7, 0))
    assert queues.next_batch(4, "wait") is None
    assert shown(queues.next_batch(4, "borrow")) == [(0, 0, "r4"), (1, 0, "r5"), (2, 0, "r6"), (3, 0, "r7")]


def test_with_one_cluster_a_batch_is_simply_the_next_rows() -> None:
    queues = fed(1, *(row(number, 0) for number in range(21)))
    assert [id for _, _, id in shown(queues.next_batch(16, "wait")) or ()] == [f"r{number}" for number in range(16)]
    assert queues.next_batch(16, "wait") is None
    assert [slot for slot, _, _ in shown(queues.last_batch(16)) or ()] == [0, 1, 2, 3, 4]


def test_waiting_takes_nothing_while_a_cluster_is_empty() -> None:
    queues = fed(2, row(0, 1), row(1, 1))
    assert queues.next_batch(2, "wait") is None
    assert queues.waiting == {0: 0, 1: 2}


def test_an_empty_cluster_borrows_the_oldest_row_of_the_fullest_and_it_shows() -> None:
    queues = fed(4, row(0, 1), row(1, 2), row(2, 2), row(3, 3))
    assert shown(queues.next_batch(4, "borrow")) == [(0, 2, "r1"), (1, 1, "r0"), (2, 2, "r2"), (3, 3, "r3")]
    rows = [BatchRow(id="r", slot=slot, cluster=cluster, generated_offset=0) for slot, cluster in ((0, 2), (5, 1))]
    assert [each.is_borrowed(4) for each in rows] == [True, False]


def test_of_equally_full_clusters_the_lowest_lends() -> None:
    queues = fed(4, row(0, 2), row(1, 2), row(2, 1), row(3, 1))
    assert shown(queues.next_batch(4, "borrow")) == [(0, 1, "r2"), (1, 1, "r3"), (2, 2, "r0"), (3, 2, "r1")]


def test_borrowing_makes_no_batch_of_too_few_rows() -> None:
    queues = fed(4, row(0, 2), row(1, 2), row(2, 1))
    assert queues.next_batch(4, "borrow") is None
    assert sum(queues.waiting.values()) == 3


def test_the_last_batch_is_what_is_left_in_own_slots_first() -> None:
    queues = fed(4, row(0, 3), row(1, 3), row(2, 1))
    assert shown(queues.last_batch(4)) == [(0, 3, "r0"), (1, 1, "r2"), (3, 3, "r1")]
    assert queues.last_batch(4) is None


def test_a_repeated_row_is_dropped_by_its_place_in_the_total_order() -> None:
    queues = fed(1, row(5, 0, offset=0))
    assert not queues.feed(row(5, 0, offset=1))
    assert not queues.feed(row(4, 0, offset=2))
    assert queues.feed(row(6, 0, offset=3))
    assert queues.waiting == {0: 2}


def test_a_row_trained_before_a_restart_is_still_a_repeat_after_it() -> None:
    queues = fed(1, row(5, 0, offset=0))
    queues.next_batch(1, "wait")
    after = fed(1, row(5, 0, offset=1), row(6, 0, offset=2), positions=queues.positions)
    assert shown(after.next_batch(1, "wait")) == [(0, 0, "r6")]


def test_a_logged_batch_is_taken_again_as_it_was_and_only_when_its_rows_are_there() -> None:
    queues = fed(2, row(0, 1), row(1, 1))
    sources, names = [(0, 1), (1, 1)], ["r0", "r1"]
    assert queues.holds(sources, names)
    assert shown(queues.take_planned(sources)) == [(0, 1, "r0"), (1, 1, "r1")]
    assert not queues.holds(sources, names)


def test_a_logged_batch_of_other_rows_is_an_error() -> None:
    with pytest.raises(TrainerError, match="was trained next"):
        fed(1, row(0, 0)).holds([(0, 0)], ["r9"])


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_ranks_share_the_clusters_evenly_and_without_overlap(world: int) -> None:
    shares = [clusters_of_rank(rank, world, 8) for rank in range(world)]
    assert [cluster for share in shares for cluster in share] == list(range(8))
    assert all(cluster * world // 8 == rank for rank, share in enumerate(shares) for cluster in share)


def test_ranks_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(TrainerError, match="divides 8"):
        clusters_of_rank(0, 3, 8)


CLUSTERS = 4
SIZES = st.sampled_from([CLUSTERS, 2 * CLUSTERS])
LOGS = st.lists(st.integers(0, CLUSTERS - 1), max_size=60).map(
    lambda clusters: [row(number, cluster) for number, cluster in enumerate(clusters)]
)


def drain(queues: BatchQueues, size: int, last: bool = True) -> list[Batch]:
    batches = []
    while batch := queues.next_batch(size, "borrow"):
        batches.append(batch)
    return batches + [left for left in [queues.last_batch(size)] if last and left]


@given(LOGS, SIZES)
def test_at_the_end_of_the_stream_every_row_is_trained_exactly_once(log: list[KeptRow], size: int) -> None:
    batches = drain(fed(CLUSTERS, *log), size)
    trained = sorted(placed.row.offset for batch in batches for placed in batch)
    assert trained == list(range(len(log)))
    assert [len(batch) for batch in batches[: len(log) // size]] == [size] * (len(log) // size)
    assert all(len({placed.slot for placed in batch}) == len(batch) for batch in batches)


@given(LOGS, SIZES, st.integers(0, 20))
def test_queues_made_from_positions_give_the_same_next_batches(log: list[KeptRow], size: int, done: int) -> None:
    undisturbed = fed(CLUSTERS, *log)
    for _ in range(done):
        undisturbed.next_batch(size, "borrow")
    positions = undisturbed.positions
    left = [each for each in log if each.offset >= positions[each.kept.cluster].offset]
    assert drain(fed(CLUSTERS, *left, positions=positions), size) == drain(undisturbed, size)


@given(LOGS, SIZES, st.data())
def test_batches_do_not_depend_on_when_rows_were_read(log: list[KeptRow], size: int, data: st.DataObject) -> None:
    queues, batches = BatchQueues(range(CLUSTERS)), []
    for each in log:
        queues.feed(each)
        if data.draw(st.booleans()) and (batch := queues.next_batch(size, "wait")):
            batches.append(batch)
    whole = fed(CLUSTERS, *log)
    together = []
    while batch := whole.next_batch(size, "wait"):
        together.append(batch)
    while batch := queues.next_batch(size, "wait"):
        batches.append(batch)
    assert batches + drain(queues, size) == together + drain(whole, size)
