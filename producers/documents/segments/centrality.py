"""How central each sentence of a text is: TextRank over the cosine similarity of TF-IDF vectors.

All sums are of whole numbers below 2**53, so that they are exact in any order: the result is the same with every linear
algebra library and on every processor.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 256
"""Sentences that are ranked together; a longer text is ranked in parts, so memory and time grow with its length."""

_DAMPING = 0.85
_ROUNDS = 30
_WEIGHT = 2**10  # of 1 nat of inverse document frequency
_MOST_TIMES = 64  # that a word counts in a sentence, so that no product is too large
_COSINE = 2**12
_RANK = 2**32


def centrality(sentences: Sequence[str]) -> NDArray[np.int64]:
    """The rank of each sentence, [sentences], of all that are given together; they sum to about 2**32."""
    count = len(sentences)
    similarity = _similarity(sentences)
    degree = np.maximum(similarity.sum(axis=1), 1.0)
    linked = similarity.any(axis=1)
    base = (1 - _DAMPING) * _RANK / count
    rank = np.full(count, float(_RANK) / count)
    for _ in range(_ROUNDS):
        given = np.where(linked, np.rint(rank * 256 / degree), 0.0)
        following = np.rint(base + (_DAMPING / 256) * (similarity @ given))
        if np.array_equal(following, rank):
            break
        rank = following
    return rank.astype(np.int64)


def _similarity(sentences: Sequence[str]) -> NDArray[np.float64]:
    """Cosines as whole numbers up to 4,096, [sentences, sentences]; 0 of a sentence with itself."""
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer

    count = len(sentences)
    try:
        counts: Any = CountVectorizer(token_pattern=r"(?u)\w\w+").fit_transform(sentences)
    except ValueError:  # no sentence has a word in it
        return np.zeros((count, count))
    counts.data = np.minimum(counts.data, _MOST_TIMES)
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    weights = [round(_WEIGHT * math.log((1 + count) / (1 + int(found)))) for found in frequency]
    weighted = sparse.csr_matrix(counts, dtype=np.int64)
    weighted.data *= np.array(weights, dtype=np.int64)[weighted.indices]
    products = (weighted @ weighted.T).toarray().astype(np.float64)
    norms = np.maximum(np.sqrt(products.diagonal()), 1.0)
    cosines: NDArray[np.float64] = np.rint(_COSINE * products / norms[:, None] / norms[None, :])
    np.fill_diagonal(cosines, 0.0)
    return cosines
