"""A judge's scores are read in the forms that judges write, and never where it is not clear what they are."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import CallAnswered, Scale
from streams.core.evaluation.pair_scores import PAIR_SCALE, REFUSAL_SCALE, read_scores, scores_of
from streams.core.parse.answers import READING

READ = [
    ("8 7\nThe first is better.", (8, 7), "The first is better."),
    ("8 7", (8, 7), ""),
    ("  8.5   7.0\n\nSo.", (8.5, 7), "So."),
    ("8, 7\nSo.", (8, 7), "So."),
    ("8,7\nSo.", (8, 7), "So."),
    ("8; 7", (8, 7), ""),
    ("8 and 7", (8, 7), ""),
    ("8 - 7", (8, 7), ""),
    ("8/10 and 7/10\nSo.", (8, 7), "So."),
    ("8 / 10, 7.5 / 10", (8, 7.5), ""),
    ("8 out of 10, 7 out of 10", (8, 7), ""),
    ("10 10\nAlike.", (10, 10), "Alike."),
    ("Scores: 8 7\nSo.", (8, 7), "So."),
    ("Score: 8, 7", (8, 7), ""),
    ("The scores are 8 and 7.\nSo.", (8, 7), "So."),
    ("Rating: [[8]] [[7]]", (8, 7), ""),
    ("[8, 7]", (8, 7), ""),
    ("**8 7**\nSo.", (8, 7), "So."),
    ("### Scores\n**8** **7**\nSo.", (8, 7), "So."),
    ("`8 7`", (8, 7), ""),
    ("```\n8 7\n```", (8, 7), "```"),
    ("Assistant 1: 8, Assistant 2: 7.5\nSo.", (8, 7.5), "So."),
    ("Assistant 2: 7, Assistant 1: 8", (8, 7), ""),
    ("Assistant 1: 8\nAssistant 2: 7\nSo.", (8, 7), "So."),
    ("**Assistant 1:** 8/10\n\n**Assistant 2:** 7/10\nSo.", (8, 7), "So."),
    ("Assistant 1:\n8\nAssistant 2:\n7", (8, 7), ""),
    ("Assistant A: 8\nAssistant B: 7", (8, 7), ""),
    ("Answer 1 (8) vs Answer 2 (7)", (8, 7), ""),
    ("A: 8 B: 7", (8, 7), ""),
    ("B: 7 A: 8", (8, 7), ""),
    ("1: 8, 2: 7", (8, 7), ""),
    ("1) 8\n2) 7", (8, 7), ""),
    ("Score 1: 8\nScore 2: 7", (8, 7), ""),
    ("score_1: 8, score_2: 7", (8, 7), ""),
    ("First answer: 8\nSecond answer: 7", (8, 7), ""),
    ("8 for the first answer and 7 for the second answer", (8, 7), ""),
    ("I give the first answer 8 and the second 7.", (8, 7), ""),
    ("Assistant 1's score: 8\nAssistant 2's score: 7", (8, 7), ""),
    ("Response 1 - 2\nResponse 2 - 1", (2, 1), ""),
    ("8\n7\nSo.", (8, 7), "So."),
    ("8 7 - the first one says more", (8, 7), "the first one says more"),
    ("8, 7: the first one says more.\nMuch.", (8, 7), "the first one says more.\nMuch."),
    ("8 7. The first one says more.", (8, 7), "the first one says more."),
    ("Both answer the question.\n8 7", (8, 7), "Both answer the question."),
    ("There are 3 steps in the first and 2 in the other.\n\nScores: 8 7\nDone.", (8, 7), "Done."),
    ("８ ７\nSo.", (8, 7), "So."),
    ("８／１０　７／１０", (8, 7), ""),
    ("Assistant １：８，Assistant ２：７", (8, 7), ""),
    ('{"score_1": 8, "score_2": 7, "reason": "So."}', (8, 7), "So."),
    ('{"assistant_2": 7.5, "assistant_1": 8}', (8, 7.5), ""),
    ('{"assistant1": "8", "assistant2": "7"}', (8, 7), ""),
    ('{"scores": [8, 7], "explanation": "So."}', (8, 7), "So."),
    ('{"first": {"score": 8, "why": "x"}, "second": {"score": 7}}', (8, 7), ""),
    ('{\n "answer_1_score": 8,\n "answer_2_score": 7\n}\nSo.', (8, 7), "So."),
    ('```json\n{"A": 8, "B": 7}\n```', (8, 7), ""),
    ('Here is what I think:\n{"answer_1": 8, "answer_2": 7}', (8, 7), ""),
]

UNREAD = [
    ("", "empty"),
    ("  \n ", "empty"),
    ("8", "a score is missing"),
    ("8/10", "a score is missing"),
    ("Assistant 1: 8\nIt is better.", "a score is missing"),
    ("The first one is better.", "no line of scores"),
    ("I like 8 things in the first and 7 in the second answer, which is more.", "no line of scores"),
    ("8 7 6", "3 scores for 2 answers"),
    ("8.5.2 7", "3 scores"),
    ("8,5 7,5", "4 scores"),
    ("0 7", "0 is not on the scale of 1 to 10"),
    ("11 7", "11 is not on the scale"),
    ("80 70", "80 is not on the scale"),
    ("8.25 7", "8.25 is not on the scale"),
    ("-8 7", "-8 is not on the scale"),
    ("4/5 3/5", "4 of 5 is not on the scale"),
    ("Assistant 1: 8, Assistant 1: 7", "not clear which score is whose"),
    ("Assistant 1: 8, 7", "not clear which score is whose"),
    ('{"score_1": 8}', "JSON without a score for each"),
    ('{"score_1": true, "score_2": 7}', "JSON without a score for each"),
    ('{\n "score_1": 8,\n "score_2": 7', "JSON without a score for each"),
    ('Mine:\n{\n "score_1": 8,\n "score_2"', "not clear which score is whose"),
    ('{"score_1": 8, "score_2": 70}', "70 is not on the scale"),
    (f'{{"scores": [1{"0" * 400}, 7]}}', "JSON without a score for each"),
    ("9" * 5_000 + " 7", "inf is not on the scale"),
    ("Tie", "no line of scores"),
    ("Score: ten and nine", "no line of scores"),
]


@pytest.mark.parametrize(("text", "scores", "reason"), READ)
def test_the_scores_of_a_form_that_judges_write_are_read(text: str, scores: tuple[float, float], reason: str) -> None:
    assert read_scores(text, PAIR_SCALE, 2) == (scores, reason)


@pytest.mark.parametrize(("text", "reason"), UNREAD)
def test_what_is_not_clear_has_no_scores_and_says_why(text: str, reason: str) -> None:
    found = read_scores(text, PAIR_SCALE, 2)
    assert found.values is None
    assert reason in found.reason


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("1\nIt declines.", 1),
        ("Score: 0", 0),
        ("**1**", 1),
        ('{"refusal": 1}', 1),
        ("0.5", None),
        ("1 0", None),
        ("yes", None),
        ("2", None),
    ],
)
def test_one_answer_has_one_score(text: str, score: float | None) -> None:
    assert read_scores(text, REFUSAL_SCALE, 1).values == (None if score is None else (score,))


def answered(raw: str, finish_reason: str = "stop") -> CallAnswered:
    return CallAnswered(
        request_id="716a754f-1279-5ad5-83ff-5bfd7006d97f",
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def test_scores_in_a_thought_do_not_count_and_those_at_a_cut_may_be_shortened() -> None:
    thought = answered("<think>Perhaps 9 2? Or\n9 3\n</think>\n8 7\nSo.")
    assert scores_of(thought, PAIR_SCALE, 2, reading=READING) == ((8, 7), "So.")
    assert scores_of(answered("<think>9 3"), PAIR_SCALE, 2, reading=READING).values is None
    cut = scores_of(answered("8 1", "length"), PAIR_SCALE, 2, reading=READING)
    assert cut == (None, "the answer was cut off at its scores")
    assert scores_of(answered("8 7\nThe fir", "length"), PAIR_SCALE, 2, reading=READING).values == (8, 7)


@pytest.mark.parametrize("text", ["answer" + " " * 200_000 + "x", "answer 1\n" * 50_000], ids=["spaces", "names"])
def test_a_long_answer_takes_time_in_proportion_to_its_length(text: str) -> None:
    begun = time.process_time()
    assert read_scores(text, PAIR_SCALE, 2).values is None
    assert time.process_time() - begun < 5  # quadratic: minutes


SCORES = st.integers(10, 100).map(lambda tenths: tenths / 10)


@given(
    SCORES,
    SCORES,
    st.sampled_from(["{} {}", "{}, {}", "Assistant 1: {}\nAssistant 2: {}", "A: {}; B: {}", "{}/10 {}/10"]),
)
def test_every_score_on_the_scale_is_read_as_it_is_written(first: float, second: float, form: str) -> None:
    assert read_scores(form.format(first, second), PAIR_SCALE, 2).values == (first, second)


@given(st.text() | st.text('0123456789./ ,:{}[]"12abAB\n-assistant ').map(str))
def test_any_text_gives_scores_on_the_scale_or_a_reason_why_not(text: str) -> None:
    for scale, count in ((PAIR_SCALE, 2), (REFUSAL_SCALE, 1)):
        found = read_scores(text, scale, count)
        if found.values is None:
            assert found.reason
        else:
            assert len(found.values) == count
            assert all(scale.least <= value <= scale.most for value in found.values)


def test_a_recorded_scale_with_a_tiny_step_has_no_score_and_ends_nothing() -> None:
    assert read_scores("8 7", Scale(least=1, most=10, step=1e-320), 2).values is None
