"""A batch is split so that little of the input is padding: every row once, never more rows than are allowed."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from consumers.trainer.engine.microbatches import MicroBatch, split

LENGTHS = st.lists(st.integers(1, 512), max_size=24)


@given(lengths=LENGTHS, most=st.integers(1, 24), cost=st.integers(0, 600))
def test_every_row_is_in_one_micro_batch_wide_enough_for_it(lengths: list[int], most: int, cost: int) -> None:
    micro_batches = split(lengths, most, cost)
    assert sorted(row for each in micro_batches for row in each.rows) == list(range(len(lengths)))
    assert all(each.width == max(lengths[row] for row in each.rows) for each in micro_batches)
    assert all(len(each.rows) <= most for each in micro_batches)
    assert all(one.width >= other.width for one, other in pairwise(micro_batches))


@given(lengths=LENGTHS.filter(bool), most=st.integers(1, 24), cost=st.integers(0, 600))
def test_no_split_at_equal_steps_is_cheaper(lengths: list[int], most: int, cost: int) -> None:
    def price(micro_batches: list[MicroBatch]) -> int:
        return sum(each.fed + cost for each in micro_batches)

    ordered = sorted(lengths, reverse=True)
    found = price(split(lengths, most, cost))
    for rows in range(1, most + 1):
        parts = [ordered[first : first + rows] for first in range(0, len(ordered), rows)]
        assert found <= sum(len(part) * part[0] + cost for part in parts)


def test_rows_of_one_length_stay_together_and_a_long_one_goes_alone() -> None:
    assert split([50] * 4, 4, 48) == [MicroBatch((0, 1, 2, 3), 50)]
    assert split([20, 400, 20, 20], 4, 48) == [MicroBatch((1,), 400), MicroBatch((0, 2, 3), 20)]


def test_when_one_more_micro_batch_costs_much_the_batch_is_not_split() -> None:
    assert split([20, 400, 20, 20], 4, 2048) == [MicroBatch((1, 0, 2, 3), 400)]


def test_no_rows_are_no_micro_batches() -> None:
    assert split([], 4, 48) == []
