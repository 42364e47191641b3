"""How central each sentence of a text is: TextRank over the cosine similarity of TF-IDF vectors.

All sums are of whole numbers below 2**53, so that they are exact in any order: the result is the same with every linear
algebra library and on every processor.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW = 256
"""Sentences that are ranked together; a longer text is ranked in parts, so memory and time grow with its length."""

_DAMPING = 0.85
_ROUNDS = 30
_WEIGHT = 2**10  # of 1 nat of inverse document frequency
_MOST_WORDS = 200  # of a sentence that count, so that no product and no matrix gets too large
_WORD = re.compile(r"\w\w+")
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
    count = len(sentences)
    counted = [Counter(_WORD.findall(sentence.lower())[:_MOST_WORDS]) for sentence in sentences]
    frequency = Counter(word for words in counted for word in words)
    weights = {word: round(_WEIGHT * math.log((1 + count) / (1 + found))) for word, found in frequency.items()}
    columns = {word: column for column, word in enumerate(word for word in frequency if frequency[word] > 1)}
    vectors = np.zeros((count, len(columns)))
    squares = np.zeros(count)
    for row, words in enumerate(counted):
        for word, times in words.items():
            weight = times * weights[word]
            squares[row] += weight * weight
            if word in columns:  # others link nothing
                vectors[row, columns[word]] = weight
    norms = np.maximum(np.sqrt(squares), 1.0)
    cosines: NDArray[np.float64] = np.rint(_COSINE * (vectors @ vectors.T) / norms[:, None] / norms[None, :])
    np.fill_diagonal(cosines, 0.0)
    return cosines
