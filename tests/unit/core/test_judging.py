"""A judge's answer is parsed strictly, and a threshold admits the rows with a score that reaches it."""

import pytest

from schemas.events import InstructionJudged, Judge, Scale
from streams.core.judging import SCALE, Judgements, ReadScore, read

ACCURATE = Judge(backend="openai", model="m", rubric="accuracy", version=1)


@pytest.mark.parametrize(
    ("raw", "score"),
    [
        ("4.5\nIt is right.", 4.5),
        ("  \n 5\n\nAll of it.", 5.0),
        ("0\nNone of it.", 0.0),
        ("Score: 3.5\nMostly.", 3.5),
        ("3/5\nMostly.", 3.0),
        ("3.0 out of 5.\nMostly.", 3.0),
        ("4", 4.0),
    ],
)
def test_a_score_on_the_first_line_is_read(raw: str, score: float) -> None:
    assert read(raw).value == score


def test_why_is_what_follows_the_first_line() -> None:
    assert read("2.5\n\nIt names two.\nThree were asked for.\n") == ReadScore(
        2.5, "It names two.\nThree were asked for."
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("I would say 4.\n", "not a score"),
        ("4 because it is right", "not a score"),
        ("The response is good.\n4.5", "not a score"),
        ("-1\nBad.", "not a score"),
        ("five\nGood.", "not a score"),
        ("nan\n", "not a score"),
        ("5.5\nBetter than good.", "not on the scale"),
        ("4.3\nGood.", "not on the scale"),
        ("8/10\nGood.", "not on the scale"),
        ("4/10\nBad.", "not on the scale"),
    ],
)
def test_anything_else_is_no_score_and_says_why(raw: str, why: str) -> None:
    found = read(raw)
    assert found.value is None
    assert why in found.reason


def test_a_score_that_may_go_on_behind_the_cut_is_none() -> None:
    assert read("4", SCALE, cut=True).value is None, "it may have been about to say 4.5"
    assert read("4\nBecause it", SCALE, cut=True).value == 4.0


def test_the_scale_is_the_one_given() -> None:
    assert read("7\n", Scale(least=1.0, most=10.0, step=1.0)).value == 7.0
    assert read("0\n", Scale(least=1.0, most=10.0, step=1.0)).value is None


def judged(id: str, score: float | None, judge: Judge = ACCURATE) -> InstructionJudged:
    return InstructionJudged(
        kept_id=id,
        generated_offset=0,
        place=0,
        cluster=0,
        judge=judge,
        scale=SCALE,
        score=score,
        reason="",
        answers=(),
        cost_usd=None,
    )


def test_a_row_is_admitted_by_its_score_withheld_below_it_and_open_before_it() -> None:
    found = Judgements()
    assert found.admits("a", 4.5) is None
    assert found.apply(judged("a", 4.5))
    assert found.apply(judged("b", 4.0))
    assert found.apply(judged("c", None))
    assert [found.admits(id, 4.5) for id in "abcd"] == [True, False, False, None]


def test_the_first_word_on_a_row_counts_and_what_stands_again_is_dropped() -> None:
    found = Judgements()
    assert found.apply(judged("a", 1.0))
    assert not found.apply(judged("a", 5.0))
    assert found.scores == {"a": 1.0}


def test_one_judge_counts_the_first_on_the_log_or_the_one_named() -> None:
    helpful = Judge(backend="openai", model="m", rubric="helpfulness", version=1)
    elsewhere = Judge(backend="builtin", model="m", rubric="accuracy", version=1)
    log = [judged("a", 1.0), judged("a", 5.0, helpful), judged("b", 5.0, helpful), judged("c", 2.0, elsewhere)]
    first, named = Judgements(), Judgements("helpfulness/1/m")
    for event in log:
        first.apply(event)
        named.apply(event)
    assert first.judge == "accuracy/1/m"
    assert first.scores == {"a": 1.0, "c": 2.0}, "how a model is reached makes no other judge of it"
    assert named.scores == {"a": 5.0, "b": 5.0}
