"""A batch is cut so that little of what is fed is padding, every row once, and never more rows than are allowed."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from consumers.trainer.engine.microbatches import MicroBatch, cut

LENGTHS = st.lists(st.integers(1, 512), max_size=24)


@given(lengths=LENGTHS, most=st.integers(1, 24), cost=st.integers(0, 600))
def test_every_row_is_in_one_pass_wide_enough_for_it(lengths: list[int], most: int, cost: int) -> None:
    passes = cut(lengths, most, cost)
    assert sorted(row for each in passes for row in each.rows) == list(range(len(lengths)))
    assert all(each.width == max(lengths[row] for row in each.rows) for each in passes)
    assert all(len(each.rows) <= most for each in passes)
    assert all(one.width >= other.width for one, other in pairwise(passes))


@given(lengths=LENGTHS.filter(bool), most=st.integers(1, 24), cost=st.integers(0, 600))
def test_no_cut_at_equal_steps_is_cheaper(lengths: list[int], most: int, cost: int) -> None:
    def price(passes: list[MicroBatch]) -> int:
        return sum(each.fed + cost for each in passes)

    ordered = sorted(lengths, reverse=True)
    found = price(cut(lengths, most, cost))
    for rows in range(1, most + 1):
        parts = [ordered[first : first + rows] for first in range(0, len(ordered), rows)]
        assert found <= sum(len(part) * part[0] + cost for part in parts)


def test_rows_of_one_length_stay_together_and_a_long_one_goes_alone() -> None:
    assert cut([50] * 4, 4, 48) == [MicroBatch((0, 1, 2, 3), 50)]
    assert cut([20, 400, 20, 20], 4, 48) == [MicroBatch((1,), 400), MicroBatch((0, 2, 3), 20)]


def test_when_one_more_pass_costs_much_the_batch_is_not_cut() -> None:
    assert cut([20, 400, 20, 20], 4, 2048) == [MicroBatch((1, 0, 2, 3), 400)]


def test_no_rows_are_no_passes() -> None:
    assert cut([], 4, 48) == []
