"""The offline scores: what Alpaca stores with a row, bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from streams.core.similarity.rouge_scores import FullScores, full_scores, full_scores_in_order

SCORER = RougeScorer(["rougeL"])
TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "é", ""]), max_size=9).map(" ".join), max_size=12)


def reference(text: str, kept: list[str], nearest: int) -> FullScores:
    scores = [SCORER.score(other, text)["rougeL"].fmeasure for other in kept]
    ranked = sorted(enumerate(scores), key=lambda pair: (-pair[1], pair[0]))
    mean = float(np.mean(scores)) if scores else 0.0
    return FullScores(len(kept), max(scores, default=0.0), mean, tuple(ranked[:nearest]))


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.integers(0, 12))
def test_scores_against_everything_kept_are_the_references(texts: list[str], kept: list[str], nearest: int) -> None:
    assert list(full_scores(texts, kept, nearest=nearest)) == [reference(text, kept, nearest) for text in texts]


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_scores_in_order_are_against_the_seeds_and_what_came_before(texts: list[str], seeds: list[str]) -> None:
    expected = [reference(text, seeds + texts[:place], 10) for place, text in enumerate(texts)]
    assert list(full_scores_in_order(texts, seeds)) == expected


def test_many_blocks_give_what_one_would() -> None:
    texts = [f"w{n % 7} w{n % 3} w{n % 5} w{n}" for n in range(600)]
    scores = list(full_scores_in_order(texts))
    for place in (0, 1, 255, 256, 257, 599):
        assert scores[place] == reference(texts[place], texts[:place], 10)
