"""A generation's requests are mapped to instructions and back."""

import pytest

from streams.core.steps import place_of, steps_of


@pytest.mark.parametrize(("style", "each"), [("alpaca", 0), ("two-step", 1), ("self-instruct", 2), ("another", 0)])
def test_the_steps_follow_the_first_in_the_order_of_the_instructions(style: str, each: int) -> None:
    steps = [step for place in range(5) for step in steps_of(style, place)]
    assert steps == list(range(1, 1 + 5 * each))
    assert all(place_of(style, step) == place for place in range(5) for step in steps_of(style, place))
    assert place_of(style, 0) is None
