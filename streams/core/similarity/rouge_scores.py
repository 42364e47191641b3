"""All ROUGE-L scores of a text, for reports: the maximum, the mean, and the nearest few, as Alpaca stores them.

Every pair counts, so there is no index: rapidfuzz's `cdist` computes the common subsequences of a block of texts with
all kept ones, and rouge_score's formula the scores, bit for bit; the mean is numpy's in the order of the kept, as in
the reference. One deliberate difference: equal scores keep the order of the kept; the reference uses an unstable sort.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from streams.core.similarity.rouge import fmeasures
from streams.core.similarity.tokenize import Tokenizer, rouge_tokens

_BLOCK_CELLS = 8_000_000  # of 4 bytes: a block of common subsequences stays at 32 MB
_BLOCK_ROWS = 256


@dataclass(frozen=True, slots=True)
class FullScores:
    """The scores of a text against `compared` others.

    maximum, mean   over all of them; 0 without any
    nearest         (index in the kept, F), highest first, ties in the order of the kept
    """

    compared: int
    maximum: float
    mean: float
    nearest: tuple[tuple[int, float], ...]


def full_scores(
    texts: Sequence[str], kept: Sequence[str], *, nearest: int = 10, tokenizer: Tokenizer = rouge_tokens
) -> Iterator[FullScores]:
    """The scores of each text against all of `kept`, computed lazily."""
    return _scores(texts, kept, [len(kept)] * len(texts), nearest, tokenizer)


def full_scores_in_order(
    texts: Sequence[str],
    seeds: Sequence[str] = (),
    *,
    nearest: int = 10,
    tokenizer: Tokenizer = rouge_tokens,
    only: Sequence[int] | None = None,
) -> Iterator[FullScores]:
    """The scores of each text when it was kept: against the seeds and all texts before it.

    Indices count the seeds first. `only`: for these texts alone, by ascending index.
    """
    which = range(len(texts)) if only is None else only
    compared = [len(seeds) + place for place in which]
    return _scores([texts[place] for place in which], [*seeds, *texts], compared, nearest, tokenizer)


def score_matrix(texts: Sequence[str], *, tokenizer: Tokenizer = rouge_tokens) -> npt.NDArray[np.float64]:
    """The score of each text with each other, [texts, texts]; for few texts, as all of it is in memory."""
    codes: dict[str, int] = {}
    coded = [[codes.setdefault(token, len(codes)) for token in tokenizer(text)] for text in texts]
    lengths = np.array([len(text) for text in coded], np.int64)
    lcs = process.cdist(coded, coded, scorer=LCSseq.similarity, dtype=np.int32)
    scores = [fmeasures(row, len(text), lengths) for row, text in zip(lcs, coded, strict=True)]
    return np.array(scores).reshape(len(texts), len(texts))


def _scores(
    texts: Sequence[str], kept: Sequence[str], compared: list[int], nearest: int, tokenizer: Tokenizer
) -> Iterator[FullScores]:
    codes: dict[str, int] = {}
    coded = [[codes.setdefault(token, len(codes)) for token in tokenizer(text)] for text in kept]
    lengths = np.array([len(text) for text in coded], np.int64)
    start = 0
    while start < len(texts):
        rows = max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // max(1, len(kept))))
        block = texts[start : start + rows]
        queries = [[codes.setdefault(token, len(codes)) for token in tokenizer(text)] for text in block]
        width = max(compared[start : start + rows])
        lcs = process.cdist(queries, coded[:width], scorer=LCSseq.similarity, dtype=np.int32)
        for row, query in enumerate(queries):
            count = compared[start + row]
            yield _summary(fmeasures(lcs[row, :count], len(query), lengths[:count]), nearest)
        start += rows


def _summary(scores: npt.NDArray[np.float64], nearest: int) -> FullScores:
    if not len(scores):
        return FullScores(compared=0, maximum=0.0, mean=0.0, nearest=())
    places = np.arange(len(scores))
    if 0 < nearest < len(scores):
        least = np.partition(scores, len(scores) - nearest)[len(scores) - nearest]
        places = (scores >= least).nonzero()[0]
    order = np.argsort(-scores[places], kind="stable")[:nearest]
    return FullScores(
        compared=len(scores),
        maximum=float(scores.max()),
        mean=float(np.mean(scores)),
        nearest=tuple((int(place), float(scores[place])) for place in places[order]),
    )
