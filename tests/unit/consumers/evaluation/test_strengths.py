"""Strengths are recovered from comparisons, do not depend on their order, and are finite for whoever always wins."""

import itertools
import random

import numpy as np
import pytest

from consumers.evaluation.judged_pairs import judged_pairs
from consumers.evaluation.strengths import bradley_terry, strengths_of
from tests.unit.consumers.evaluation.contest import LOST, SPLIT, STRICT, WON, Contest, contest, key

NAMES = ("a", "b", "c", "d")
TRUE = {"a": 1.2, "b": 0.3, "c": -0.4, "d": -1.1}


def simulated(prompts: int, rng_seed: int = 4) -> Contest:
    story, rng = contest(NAMES, prompts), random.Random(rng_seed)
    for first, second in itertools.combinations(NAMES, 2):
        chance = 1 / (1 + np.exp(TRUE[second] - TRUE[first]))
        outcomes = {f"p{number}": WON if rng.random() < chance else LOST for number in range(prompts)}
        story.compared(first, second, outcomes)
    return story


def test_known_strengths_are_recovered() -> None:
    found = strengths_of(judged_pairs(simulated(400).source), resamples=20)
    assert [strength.model for strength in found] == [key(name) for name in NAMES], "the strongest first"
    assert [strength.strength.value for strength in found] == pytest.approx(list(TRUE.values()), abs=0.2)
    assert sum(strength.strength.value for strength in found) == pytest.approx(0, abs=1e-9)
    assert {strength.prompts for strength in found} == {1_200}


def test_intervals_hold_the_true_strength_about_as_often_as_they_say() -> None:
    held = [
        strength.strength.low < TRUE[strength.model[0]] < strength.strength.high
        for rng_seed in range(12)
        for strength in strengths_of(judged_pairs(simulated(60, rng_seed).source), resamples=100)
    ]
    assert len(held) == 48
    assert 0.85 <= np.mean(held) <= 1


def test_the_order_of_models_and_judgements_makes_no_difference_and_the_bootstrap_is_seeded() -> None:
    story = simulated(30)
    before = strengths_of(judged_pairs(story.source), resamples=50)
    assert strengths_of(judged_pairs(story.source), resamples=50) == before
    assert strengths_of(judged_pairs(story.source), resamples=50, rng_seed=1) != before
    random.Random(1).shuffle(story.written)
    after = strengths_of(judged_pairs(story.source), resamples=50)
    assert [s.model for s in after] == [s.model for s in before]
    for one, other in zip(before, after, strict=True):
        assert (one.strength.value, one.strength.low, one.strength.high) == pytest.approx(
            (other.strength.value, other.strength.low, other.strength.high), abs=1e-8
        )


def test_whoever_always_wins_has_a_finite_strength_and_ties_are_half() -> None:
    wins = np.array([[0.0, 50, 50], [0, 0, 50], [0, 0, 0]])
    always = bradley_terry(wins)
    assert np.isfinite(always).all()
    assert always[0] > always[1] + 2 > always[2] + 4
    more = bradley_terry(100 * wins)
    assert more[0] > always[0] + 2
    level = np.array([[0.0, 25, 25], [25, 0, 25], [25, 25, 0]])
    assert bradley_terry(np.stack([level, wins])) == pytest.approx(np.stack([[0, 0, 0], always]), abs=1e-9)
    story = contest(["a", "b", "c"], 4)
    for first, second in itertools.combinations("abc", 2):
        story.compared(first, second, {f"p{number}": SPLIT for number in range(4)})
    assert [
        strength.strength.value for strength in strengths_of(judged_pairs(story.source), resamples=10)
    ] == pytest.approx([0, 0, 0])


def test_the_likelihood_is_at_its_largest() -> None:
    wins = np.array([[0.0, 7, 4], [3, 0, 9], [2, 5.5, 0]])
    best = bradley_terry(wins)

    def likelihood(of: np.ndarray) -> float:
        each = np.log(1 / (1 + np.exp(of[None, :] - of[:, None])))
        added = 0.5 * (np.log(1 / (1 + np.exp(-of))) + np.log(1 / (1 + np.exp(of))))
        return float((wins * each).sum() + added.sum())

    # The average of the strengths is fixed afterwards, so the largest is looked for along the line through them too.
    shifts = np.linspace(-1, 1, 2001)
    top = max(likelihood(best + shift) for shift in shifts)
    rng = np.random.default_rng(0)
    for _ in range(50):
        nudged = best + rng.normal(0, 0.05, 3)
        assert max(likelihood(nudged + shift) for shift in shifts) <= top + 1e-6


def test_two_models_or_models_that_nobody_compared_have_no_strengths() -> None:
    story = contest(["a", "b", "c", "d"], 5)
    for first, second in (("a", "b"), ("c", "d")):
        story.compared(first, second, {f"p{number}": WON for number in range(5)})
    assert strengths_of(judged_pairs(story.source), resamples=5) == ()
    story.compared("b", "c", {"p0": WON}, judge=STRICT)
    assert strengths_of(judged_pairs(story.source), resamples=5) == ()
    story.compared("b", "c", {"p0": WON})
    found = strengths_of(judged_pairs(story.source), resamples=5)
    assert [strength.model for strength in found] == [key(name) for name in "abcd"]
    assert {strength.judge for strength in found} == {"pair/1/big"}
