"""ROUGE-L with references is rouge_score's with its stemmer, to the last bit."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from streams.core.evaluation.overlap import has_tokens, rouge_l

WORDS = "the They ran running runners relational, caresses flying. I_TURN_LEFT 1,234 don't naïve 東京 - \n".split(" ")


@cache
def scorer() -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=True)


def package(answer: str, references: list[str]) -> float:
    return float(max(scorer().score(target=each, prediction=answer)["rougeL"].fmeasure for each in references))


TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_rouge_l_is_rouge_scores_over_the_best_reference(answer: str, references: list[str]) -> None:
    assert rouge_l(answer, references) == package(answer, references)
    assert any(map(has_tokens, references)) == (max(rouge_l(each, [each]) for each in references) == 1)


def test_words_of_one_stem_are_equal_and_no_reference_scores_nothing() -> None:
    assert rouge_l("He was running home", ["He was runs home"]) == 1
    assert rouge_l("a b c d", ["x", "a c", "c d e f"]) == pytest.approx(2 * 2 / 6)
    assert rouge_l("anything", []) == 0
