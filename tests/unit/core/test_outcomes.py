"""A win is a win in both orders; what was not read in both is nothing; and exchanging the models mirrors it all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.evaluation.outcomes import (
    EQUALS,
    POINTS,
    BothOrders,
    Equal,
    PairOutcome,
    Scores,
    orders_disagree,
    outcome,
    preference,
)

scores = st.tuples(st.integers(1, 10), st.integers(1, 10)).map(lambda pair: (float(pair[0]), float(pair[1])))


@pytest.mark.parametrize(
    ("forward", "backward", "tie", "decided", "average", "disagree"),
    [
        # The first model's score stands first in `forward` and second in `backward`.
        ((8, 5), (5, 8), "win", "win", "win", False),
        ((5, 8), (8, 5), "lose", "lose", "lose", False),
        ((8, 5), (8, 5), "tie", "tie", "tie", True),
        ((9, 5), (8, 6), "tie", "tie", "win", True),
        ((5, 8), (7, 8), "tie", "tie", "lose", True),
        ((7, 7), (7, 7), "tie", "tie", "tie", False),
        ((8, 5), (7, 7), "tie", "win", "win", False),
        ((7, 7), (5, 8), "tie", "win", "win", False),
        ((5, 8), (7, 7), "tie", "lose", "lose", False),
        ((7, 7), (8, 5), "tie", "lose", "lose", False),
    ],
)
def test_two_orders_make_one_outcome(
    forward: Scores, backward: Scores, tie: PairOutcome, decided: PairOutcome, average: PairOutcome, disagree: bool
) -> None:
    orders = BothOrders(forward, backward)
    assert outcome(orders) == tie
    assert [outcome(orders, equal) for equal in EQUALS] == [tie, decided, average]
    assert orders_disagree(orders) is disagree


@pytest.mark.parametrize("equal", EQUALS)
@given(read=scores)
def test_without_both_orders_there_is_no_outcome(equal: Equal, read: Scores) -> None:
    for orders in (BothOrders(read, None), BothOrders(None, read), BothOrders(None, None)):
        assert outcome(orders, equal) is None
        assert not orders_disagree(orders)


@given(forward=scores, backward=scores, equal=st.sampled_from(EQUALS))
def test_exchanging_the_models_mirrors_the_outcome(forward: Scores, backward: Scores, equal: Equal) -> None:
    orders, mirrored = BothOrders(forward, backward), BothOrders(backward, forward)
    ours, theirs = outcome(orders, equal), outcome(mirrored, equal)
    assert ours is not None
    assert theirs is not None
    assert POINTS[ours] + POINTS[theirs] == 1
    assert orders_disagree(orders) == orders_disagree(mirrored)


def test_a_preference_is_of_the_place_shown() -> None:
    assert [preference(pair) for pair in ((8, 5), (5, 8), (5, 5))] == ["first", "second", "equal"]
