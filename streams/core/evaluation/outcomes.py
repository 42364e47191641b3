"""The outcome of one prompt between two models, from a judge's scores in both orders.

The judge reads the two answers twice, each model's first once. Twice better is a win, once each a tie, twice worse a
loss (SEDI-Instruct, "Competitive Evaluation"). The paper is silent about equal scores; `Equal` are the ways to
count them. Without both readings there is no outcome: a reading that is missing is never a loss.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Scores = tuple[float, float]
"""A judge's scores of two answers, in the order they were shown."""

PairOutcome = Literal["win", "tie", "lose"]
"""Of the first model."""

Preference = Literal["first", "second", "equal"]

Equal = Literal["tie", "decided", "average"]
"""How equal scores in an order count.

tie       as an order won by neither: with a win, or a loss, in the other order the prompt is a tie
decided   as no vote: the other order decides
average   the larger mean score of both orders wins, whatever each order says; equal means are a tie
"""

EQUALS: tuple[Equal, ...] = ("tie", "decided", "average")

POINTS: Mapping[PairOutcome, float] = {"win": 1.0, "tie": 0.5, "lose": 0.0}
"""What an outcome adds to a win rate."""

_VOTE: Mapping[Preference, int] = {"first": 1, "equal": 0, "second": -1}


class BothOrders(NamedTuple):
    """A judge's scores of two models' answers to a prompt; None: not judged, or not readable.

    forward    the first model's answer was shown first
    backward   the second model's answer was shown first
    """

    forward: Scores | None
    backward: Scores | None


def preference(scores: Scores) -> Preference:
    """Which of the two answers, by the place it was shown in, has the higher score."""
    shown_first, shown_second = scores
    if shown_first == shown_second:
        return "equal"
    return "first" if shown_first > shown_second else "second"


def outcome(orders: BothOrders, equal: Equal = "tie") -> PairOutcome | None:
    """The first model's outcome; None unless both orders have scores."""
    if orders.forward is None or orders.backward is None:
        return None
    forward, backward = orders.forward, orders.backward
    if equal == "average":
        # The same sums in the same order for either model, so that exchanging the models mirrors the outcome.
        return _outcome(_sign(forward[0] + backward[1], forward[1] + backward[0]))
    votes = _VOTE[preference(forward)] - _VOTE[preference(backward)]
    if equal == "tie" and abs(votes) < 2:
        return "tie"
    return _outcome(votes)


def orders_disagree(orders: BothOrders) -> bool:
    """Whether the two orders prefer different answers; equal scores prefer none."""
    if orders.forward is None or orders.backward is None:
        return False
    shown = {preference(orders.forward), preference(orders.backward)}
    return len(shown) == 1 and shown != {"equal"}  # the same place twice is not the same answer


def _sign(first: float, second: float) -> int:
    return (first > second) - (first < second)


def _outcome(votes: int) -> PairOutcome:
    return "tie" if votes == 0 else "win" if votes > 0 else "lose"
