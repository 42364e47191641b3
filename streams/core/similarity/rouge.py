"""The ROUGE-L F-measure, bit for bit as rouge_score 0.1.2 computes it.

F is the harmonic mean of precision and recall of the longest common subsequence (Lin 2004), computed like rouge_score
as `2pr / (p + r)` in floats. That may differ from `2 lcs / (m + n)` in the last bit, and at ties in the decision. It is
symmetric, bit for bit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import LCSseq

from streams.core.similarity.tokenize import Tokenizer, rouge_tokens


def fmeasure(lcs: int, m: int, n: int) -> float:
    """F of two texts of m and n tokens whose longest common subsequence has length `lcs`; 0 for `lcs` 0."""
    if not lcs:
        return 0.0
    precision = lcs / n
    recall = lcs / m
    return 2 * precision * recall / (precision + recall)


def fmeasures(lcs: npt.NDArray[np.signedinteger], m: int, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """`fmeasure` of one text of m tokens with many, bit-identical."""
    scores = np.zeros(len(lcs))
    hit = lcs.nonzero()[0]
    if len(hit):
        common = lcs[hit].astype(np.float64)
        precision = common / lengths[hit]
        recall = common / m
        scores[hit] = 2 * precision * recall / (precision + recall)
    return scores


def needed_lcs(threshold: float, m: int, n: int) -> int:
    """The smallest lcs with F above the threshold; greater than min(m, n) when there is none."""
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
    """ROUGE-L F of two texts; with the default tokenizer bit-identical to rouge_score's."""
    return tokens_fmeasure(tokenizer(a), tokenizer(b))


def tokens_fmeasure(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F of two token sequences."""
    return fmeasure(lcs_length(first, second), len(first), len(second))
