"""A comparison counts each prompt once: scored in both orders, or not scored and why. Nothing unread is a loss."""

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.evaluation.comparisons import comparisons_of
from consumers.evaluation.judged_pairs import judged_pairs
from consumers.evaluation.results import ComparisonScore, Interval
from streams.core.evaluation.outcomes import EQUALS, BothOrders, Equal
from tests.unit.consumers.evaluation.contest import EQUAL_ONCE, JUDGE, LOST, SPLIT, STRICT, WON, Contest, contest, key

OURS, THEIRS = key("ours"), key("theirs")


def only(story: Contest, equal: Equal = "tie") -> ComparisonScore:
    (score,) = comparisons_of(judged_pairs(story.source), equal=equal)
    assert_each_prompt_counts_once(score)
    return score


def assert_each_prompt_counts_once(score: ComparisonScore) -> None:
    unanswered = sum(score.unanswered.values()) - score.neither_answered
    assert score.scored + score.unread + score.unjudged + unanswered == score.prompts
    assert score.win + score.tie + score.lose == score.scored


def test_win_tie_and_lose_with_what_the_orders_say() -> None:
    story = contest(["ours", "theirs"], 5)
    story.compared("ours", "theirs", {"p0": WON, "p1": WON, "p2": LOST, "p3": SPLIT, "p4": EQUAL_ONCE})
    score = only(story)
    assert (score.first, score.second, score.judge, score.set) == (OURS, THEIRS, JUDGE.name, "vicuna")
    assert (score.prompts, score.scored, score.win, score.tie, score.lose) == (5, 5, 2, 2, 1)
    assert score.win_rate is not None
    assert score.win_rate.value == pytest.approx(0.6)
    assert 0 <= score.win_rate.low < 0.6 < score.win_rate.high <= 1
    assert score.orders_disagree == 0.2
    # Of nine readings with a preference: one of each of p0 to p2, both of p3, and the one of p4 prefer the first place.
    assert score.first_place_wins == pytest.approx(6 / 9)
    assert score.length_controlled is None, "too few prompts"
    assert (only(story, "decided").win, only(story, "decided").tie) == (3, 1)


def test_what_could_not_be_scored_is_counted_and_is_no_loss() -> None:
    story = contest(["ours", "theirs"], 3)
    for prompt, ours, theirs in (("p3", "empty", "answered"), ("p4", "refused", "failed"), ("p5", "cut", "answered")):
        story.answered("ours", prompt, outcome=ours)  # type: ignore[arg-type]
        story.answered("theirs", prompt, outcome=theirs)  # type: ignore[arg-type]
    story.answered("ours", "p6")  # theirs is not asked yet
    story.compared("ours", "theirs", {"p0": BothOrders((3, 8), None), "p5": WON})
    story.judged(("theirs", "ours"), "p1", (9, 2))
    story.compared("ours", "theirs", {"p3": LOST})  # a judge that was shown an empty answer all the same
    score = only(story)
    assert (score.prompts, score.scored, score.win, score.lose) == (6, 1, 1, 0)
    assert (score.unread, score.unjudged, score.neither_answered) == (1, 2, 1)
    assert score.unanswered == {OURS: 2, THEIRS: 1}
    assert score.cut == {OURS: 1, THEIRS: 0}
    assert score.win_rate == Interval(value=1, low=1, high=1)


def test_without_a_scored_prompt_there_is_no_rate() -> None:
    story = contest(["ours", "theirs"], 2)
    story.compared("ours", "theirs", {"p0": BothOrders(None, (1, 9))})
    score = only(story)
    assert (score.scored, score.unread, score.unjudged) == (0, 1, 1)
    assert (score.win_rate, score.length_controlled, score.orders_disagree, score.first_place_wins) == (None,) * 4


def test_the_first_of_equal_events_counts_whatever_a_repeat_says() -> None:
    story = contest(["ours", "theirs"], 2)
    story.compared("ours", "theirs", {"p0": WON, "p1": LOST})
    before = only(story)
    for entry in list(story.written):
        story.again(entry)
    story.judged(("ours", "theirs"), "p1", (9, 1))
    story.answered("ours", "p0", outcome="empty")
    assert only(story) == before


def test_each_set_each_judge_and_each_pair_has_a_score_and_all_sets_together() -> None:
    story = contest(["ours", "theirs", "old"], 2)
    for name in ("ours", "theirs"):
        story.answered(name, "k0", of="koala")
    story.compared("ours", "theirs", {"p0": WON, "p1": LOST})
    story.compared("ours", "theirs", {"k0": WON}, of="koala")
    story.compared("ours", "theirs", {"p0": SPLIT, "p1": SPLIT}, judge=STRICT)
    story.compared("old", "ours", {"p0": WON})
    found = comparisons_of(judged_pairs(story.source))
    for score in found:
        assert_each_prompt_counts_once(score)
    assert [(s.judge, s.first, s.second, s.set, s.win, s.tie, s.lose, s.unjudged) for s in found] == [
        (JUDGE.name, OURS, THEIRS, "koala", 1, 0, 0, 0),
        (JUDGE.name, OURS, THEIRS, "vicuna", 1, 0, 1, 0),
        (JUDGE.name, OURS, THEIRS, "all", 2, 0, 1, 0),
        (JUDGE.name, OURS, key("old"), "vicuna", 0, 0, 1, 1),
        (STRICT.name, OURS, THEIRS, "koala", 0, 0, 0, 1),
        (STRICT.name, OURS, THEIRS, "vicuna", 0, 2, 0, 0),
        (STRICT.name, OURS, THEIRS, "all", 0, 2, 0, 1),
    ]


def test_a_model_with_another_system_prompt_is_another_contender() -> None:
    story = Contest()
    story.answered("ours", "p0")
    story.answered("ours", "p0", "I cannot", system="Be safe.")
    story.judged(("ours", "ours"), "p0", (8, 3), systems=("", "Be safe."))
    story.judged(("ours", "ours"), "p0", (3, 8), systems=("Be safe.", ""))
    score = only(story)
    assert (score.first, score.second) == (OURS, OURS)
    assert (score.first_system, score.second_system, score.win) == ("", "Be safe.", 1)


def test_a_set_with_the_name_of_all_sets_has_another_one_in_the_result() -> None:
    story = contest(["ours", "theirs"], 1, of="all")
    for number in range(2):
        for name in ("ours", "theirs"):
            story.answered(name, f"p{number}", of="vicuna")
    story.compared("ours", "theirs", {"p0": WON}, of="all")
    story.compared("ours", "theirs", {"p0": LOST, "p1": LOST}, of="vicuna")
    found = [(score.set, score.win, score.lose) for score in comparisons_of(judged_pairs(story.source))]
    assert found == [(f"all@{hashlib.sha256(b'all').hexdigest()[:8]}", 1, 0), ("vicuna", 0, 2), ("all", 1, 2)]


def test_judgements_of_one_answer_or_of_answers_that_are_not_there_compare_nothing() -> None:
    story = contest(["ours", "theirs"], 1)
    judged = story.judged(("ours", "theirs"), "p0", (8, 5)).event
    story.written.pop()
    for ids in (judged.answer_ids[:1], (judged.answer_ids[0], "gone")):  # type: ignore[attr-defined]
        event = msgspec.structs.replace(judged, answer_ids=ids, scores=(8.0, 1.0)[: len(ids)])
        story.tell(event, id=f"00000000-0000-5000-8000-{len(ids):012d}", key="k")
    assert comparisons_of(judged_pairs(story.source)) == ()


scores = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda pair: (float(pair[0]), float(pair[1])))
readings = st.lists(st.builds(BothOrders, st.none() | scores, st.none() | scores), min_size=1, max_size=14)


@settings(deadline=None, max_examples=25)
@given(orders=readings, equal=st.sampled_from(EQUALS))
def test_exchanging_the_models_mirrors_every_number(orders: list[BothOrders], equal: Equal) -> None:
    by_prompt = {f"p{number}": both for number, both in enumerate(orders)}
    ours = contest(["ours", "theirs"], len(orders))
    ours.compared("ours", "theirs", by_prompt)
    theirs = contest(["theirs", "ours"], len(orders))
    theirs.compared("ours", "theirs", by_prompt)
    (one,), (other,) = (
        comparisons_of(judged_pairs(story.source), equal=equal, resamples=40) for story in (ours, theirs)
    )
    assert_each_prompt_counts_once(one)
    assert (one.first, one.second) == (other.second, other.first)
    assert (one.win, one.tie, one.lose) == (other.lose, other.tie, other.win)
    assert (one.unread, one.unjudged, one.orders_disagree, one.first_place_wins) == (
        other.unread,
        other.unjudged,
        other.orders_disagree,
        other.first_place_wins,
    )
    assert one.lose <= sum(None not in both for both in orders)
    for a, b in ((one.win_rate, other.win_rate), (one.length_controlled, other.length_controlled)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert (a.value + b.value, a.low + b.high, a.high + b.low) == pytest.approx((1, 1, 1), abs=0.01)
