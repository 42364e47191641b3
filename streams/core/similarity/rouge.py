"""The ROUGE-L F-measure, bit for bit as rouge_score 0.1.2 computes it.

F is the harmonic mean of precision and recall of the longest common subsequence (Lin 2004), computed as rouge_score
does, `2pr / (p + r)` in floats. That is not always `2 lcs / (m + n)`: at ties the last bit differs, and with it
decisions. Swapping the two texts changes no bit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import LCSseq

from streams.core.similarity.tokenize import Tokenizer, rouge_tokens


def fmeasure(lcs: int, m: int, n: int) -> float:
    """F of two texts of m and n tokens whose longest common subsequence has `lcs`; 0 where a text has no tokens."""
    if not lcs:
        return 0.0
    precision = lcs / n
    recall = lcs / m
    return 2 * precision * recall / (precision + recall)


def fmeasures(lcs: npt.NDArray[np.signedinteger], m: int, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """`fmeasure` of one text of m tokens with many: the same operations in the same order, so the same bits."""
    scores = np.zeros(len(lcs))
    hit = lcs.nonzero()[0]
    if len(hit):
        common = lcs[hit].astype(np.float64)
        precision = common / lengths[hit]
        recall = common / m
        scores[hit] = 2 * precision * recall / (precision + recall)
    return scores


def needed_lcs(threshold: float, m: int, n: int) -> int:
    """The smallest lcs whose F is above the threshold; more than min(m, n) when there is none."""
    lcs = max(1, int(threshold * (m + n) / 2) - 1)
    while lcs <= m and lcs <= n and fmeasure(lcs, m, n) <= threshold:
        lcs += 1
    return lcs


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token sequences."""
    numbers: dict[str, int] = {}
    first = [numbers.setdefault(token, len(numbers)) for token in a]
    second = [numbers.setdefault(token, len(numbers)) for token in b]
    return LCSseq.similarity(first, second)


def rouge_l_fmeasure(a: str, b: str, *, tokenizer: Tokenizer = rouge_tokens) -> float:
    """ROUGE-L F of two texts; equal, bit for bit, to rouge_score's with the default tokenizer."""
    return tokens_fmeasure(tokenizer(a), tokenizer(b))


def tokens_fmeasure(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F of two token sequences."""
    return fmeasure(lcs_length(first, second), len(first), len(second))
