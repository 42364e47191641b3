"""The compared methods: each takes the kept texts and returns a function from texts to milliseconds.

Time is the CPU time of this process, on one core, so that other load matters little. Each decision includes tokenising
the new text; the kept texts are prepared before.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel, LCSseq
from rouge_score import rouge_scorer

from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.tokenize import rouge_tokens

Decide = Callable[[str], object]

BATCH = 256


class Coded:
    """Texts with one character per token, for the methods with rapidfuzz alone."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._codes: dict[str, int] = {}
        self.kept = [self(text) for text in texts]

    def __call__(self, text: str) -> str:
        codes = self._codes
        return "".join([chr(1 + codes.setdefault(token, len(codes))) for token in rouge_tokens(text)])


def rouge_score(kept: Sequence[str], threshold: float) -> Decide:
    """rouge_score as in its manual."""
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    return lambda text: max(scorer.score(other, text)["rougeL"].fmeasure for other in kept) > threshold


def rouge_score_tokens(kept: Sequence[str], threshold: float) -> Decide:
    """rouge_score's LCS on prepared tokens, as in Alpaca."""
    tokens = [rouge_tokens(text) for text in kept]
    score = rouge_scorer._score_lcs

    def decide(text: str) -> bool:
        query = rouge_tokens(text)
        return bool(max(score(query, other).fmeasure for other in tokens) > threshold)

    return decide


def extract(coded: Coded, threshold: float) -> Decide:
    """rapidfuzz's `extract` of the best above the cutoff."""
    return lambda text: process.extract(
        coded(text), coded.kept, scorer=Indel.normalized_similarity, score_cutoff=threshold, limit=1
    )


def cdist(coded: Coded) -> Callable[[Sequence[str]], object]:
    """rapidfuzz's `cdist` of a batch, without computing scores from it."""
    dtype = np.uint8 if max(map(len, coded.kept), default=0) < 256 else np.uint16
    return lambda texts: process.cdist([coded(t) for t in texts], coded.kept, scorer=LCSseq.similarity, dtype=dtype)


def index_of(kept: Sequence[str], threshold: float) -> RougeLIndex:
    """The index with all kept texts."""
    index = RougeLIndex(threshold)
    index.extend((str(place), text, (place, 0)) for place, text in enumerate(kept))
    return index


def milliseconds(decide: Decide, texts: Sequence[str], *, repeats: int = 1) -> float:
    """CPU time per text, the best of several repeats."""
    return _best(lambda: [decide(text) for text in texts], len(texts), repeats)


def milliseconds_batched(decide: Callable[[Sequence[str]], object], texts: Sequence[str], *, repeats: int = 1) -> float:
    """The same for a method that takes many texts at once."""
    return _best(partial(decide, texts), len(texts), repeats)


def _best(run: Callable[[], object], count: int, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1000 * min(times) / count
