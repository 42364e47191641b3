"""Seed scores: SeedKept / SeedGen, credited once a generation to every seed that was shown in it."""

from schemas.policy import policy_for
from streams.core import decider
from streams.core.scores import SeedScore
from tests.unit.core.conftest import decided, fresh_state, generation


def test_a_seed_from_which_nothing_was_generated_has_no_value() -> None:
    assert SeedScore().value is None
    assert SeedScore().credit(0, 0, offset=3).value is None


def test_the_papers_example_goes_from_21_of_25_to_25_of_30() -> None:
    before = SeedScore().credit(25, 21, offset=0)
    after = before.credit(5, 4, offset=1)
    assert (before.generated, before.kept, before.value) == (25, 21, 21 / 25)
    assert (after.generated, after.kept, after.value) == (30, 25, 25 / 30)


def test_an_offset_that_is_not_newer_credits_nothing() -> None:
    score = SeedScore().credit(5, 4, offset=7)
    assert score.credit(5, 5, offset=7) is score
    assert score.credit(5, 5, offset=6) is score
    assert score.credit(5, 5, offset=8) == SeedScore(10, 9, 8, shown=2)


def test_every_seed_shown_is_credited_with_the_whole_generation_and_no_other_seed_is() -> None:
    state = fresh_state(policy_for(batch_size=1, count_rule_rejections=True))
    decided(state, generation(0, ["Name three red fruits.", "Draw it", "Tell a joke about a cow."]))
    decided(state, generation(1, ["Name three red fruits."], seed_ids=("s2", "s9")))
    assert state.scores == {
        "s0": SeedScore(3, 2, 0, shown=1),
        "s1": SeedScore(3, 2, 0, shown=1),
        "s2": SeedScore(4, 2, 1, shown=2),
        "s9": SeedScore(1, 0, 1, shown=1),
    }


def test_what_a_rule_rejected_does_not_count_but_was_generated_and_what_is_similar_does() -> None:
    state = fresh_state()
    verdict = decided(state, generation(0, ["Name three red fruits.", "Draw it", "?", "Name three red fruits."]))
    assert [rejection.reason for rejection in verdict.rejected.rejections] == ["too_short", "too_short", "similar"]
    assert (verdict.decision.generated, verdict.decision.uncounted) == (4, 2)
    assert state.scores["s0"] == SeedScore(2, 1, 0, shown=1)
    assert (verdict.rejected.generated, state.generated_total) == (4, 4)


def test_a_generation_of_which_nothing_counts_leaves_the_score_and_was_shown_all_the_same() -> None:
    state = fresh_state()
    decided(state, generation(0, ["Draw it", "Go"]))
    assert state.scores["s0"] == SeedScore(0, 0, 0, shown=1) and state.scores["s0"].value is None
    decided(state, generation(1, ["Name three red fruits."]))
    decided(state, generation(2, ["Draw it", "Go"]))
    assert state.scores["s0"] == SeedScore(1, 1, 2, shown=3)


def test_a_seed_that_was_shown_twice_in_a_generation_is_credited_once() -> None:
    state = fresh_state()
    decided(state, generation(0, ["Name three red fruits."], seed_ids=("s0", "s0")))
    assert state.scores == {"s0": SeedScore(1, 1, 0, shown=1)}


def test_a_decision_that_comes_again_credits_nobody_again() -> None:
    state = fresh_state()
    verdict = decided(state, generation(0, ["Name three red fruits."]))
    before = dict(state.scores)
    decider.apply(state, verdict.decision)
    assert state.scores == before
