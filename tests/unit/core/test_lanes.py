"""Each number of a lane is fresh once, whatever the order they come in."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.lanes import LaneNumbers


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 12))))
def test_a_number_is_fresh_until_it_was_taken(taken: list[tuple[str, int]]) -> None:
    lanes, seen = LaneNumbers(), set[tuple[str, int]]()
    for lane, number in taken:
        fresh = (lane, number) not in seen
        assert lanes.fresh(lane, number) is fresh
        assert lanes.take(lane, number) is fresh
        seen.add((lane, number))
        for name, last in lanes.last.items():
            missing = {n for first, end in lanes.missing.get(name, ()) for n in range(first, end + 1)}
            assert missing == {n for n in range(last) if (name, n) not in seen}
    for lane, number in ((lane, number) for lane in "ab" for number in range(14)):
        assert lanes.fresh(lane, number) is ((lane, number) not in seen)


def test_an_absurd_number_costs_one_range() -> None:
    lanes = LaneNumbers()
    assert lanes.take("a", 0) and lanes.take("a", 2**63 - 1)
    assert lanes.missing == {"a": [(1, 2**63 - 2)]}
    assert lanes.take("a", 5) and not lanes.take("a", 5)
