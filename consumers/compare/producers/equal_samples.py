"""Diversity of kept instructions at equal sample sizes, with intervals.

Every measure of diversity depends on how many instructions there are, so groups are compared on samples of one size n:
rows are drawn without replacement, `DRAWS` times, by a seeded generator, and keep their order. The estimate is the mean
over the draws. Its 95 % interval is the delete-d jackknife's (Shao and Wu 1989): the draws' deviations from their mean,
times sqrt(n / (m - n)) for m rows to draw from. A bootstrap with replacement would draw rows twice, and so find too
little diversity. A group takes part if it has 2 n rows or more; n is at most half of the smallest group.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from consumers.compare.diversity import entropy
from consumers.compare.words import root
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import Floats, ends
from streams.core.similarity.rouge_scores import score_matrix
from streams.core.similarity.tokenize import Tokenizer

DRAWS = 500
LEAST_ROWS = 20
"""A group with fewer rows has no diversity that could be compared."""
LARGEST_SAMPLE = 250
LARGEST_POOL = 1_000
"""Rows to draw from; of a larger group, as many are drawn once."""

MEASURES = ("nearest", "verb_noun_pairs", "distinct_1", "distinct_2", "cluster_entropy")
LOWER_IS_MORE_DIVERSE = frozenset(("nearest",))

Places = npt.NDArray[np.intp]


class SampledDiversity(msgspec.Struct, frozen=True, kw_only=True):
    """The diversity of `sample` instructions of a group, each with its interval.

    pool               rows that the samples were drawn from
    nearest            mean similarity to the nearest before it in the sample; lower is more diverse
    verb_noun_pairs    distinct pairs of root verb and object, guessed (`consumers.compare.words`)
    distinct_1, distinct_2   distinct n-grams of tokens over all of them
    cluster_entropy    of the clusters, in bits
    """

    sample: int
    pool: int
    nearest: Interval
    verb_noun_pairs: Interval
    distinct_1: Interval
    distinct_2: Interval
    cluster_entropy: Interval


class MeasuredPool:
    """Instructions to draw samples from, in the order they were kept; measured once."""

    def __init__(self, texts: Sequence[str], clusters: Sequence[int], tokenizer: Tokenizer) -> None:
        self.rows = len(texts)
        self._similarity = np.tril(score_matrix(texts, tokenizer=tokenizer), -1)
        tokens = [tokenizer(text) for text in texts]
        self._words = _numbered(tokens)
        self._word_pairs = _numbered([list(pairwise(words)) for words in tokens])
        roots = [root(text) for text in texts]
        self._pairs = [None if found is None or found[1] is None else found for found in roots]
        self._clusters = np.asarray(clusters, np.int64)

    def measure(self, places: Places) -> tuple[float, ...]:
        """The `MEASURES` of the instructions at ascending places, two or more."""
        nearest = self._similarity[np.ix_(places[1:], places)].max(axis=1).mean()
        pairs = {pair for place in places if (pair := self._pairs[place]) is not None}
        bits = entropy(np.unique(self._clusters[places], return_counts=True)[1].tolist())
        return (
            float(nearest),
            float(len(pairs)),
            _distinct(self._words, places),
            _distinct(self._word_pairs, places),
            bits or 0.0,
        )

    def draws(self, sample: int, rng_seed: int) -> Floats:
        """The measures of each draw of `sample` rows, [draws, measures]."""
        rng = np.random.default_rng(rng_seed)
        drawn = (np.sort(rng.permutation(self.rows)[:sample]) for _ in range(DRAWS))
        return np.array([self.measure(places) for places in drawn])


def sample_size(groups: Sequence[int], wanted: int | None = None) -> int | None:
    """Rows of a sample, for groups of so many rows: half of the smallest that has enough; None if none has."""
    enough = [rows for rows in groups if rows >= LEAST_ROWS]
    if not enough:
        return None
    return min(min(enough) // 2, LARGEST_SAMPLE) if wanted is None else wanted


def pool_of(texts: Sequence[str], clusters: Sequence[int], tokenizer: Tokenizer, rng_seed: int = 0) -> MeasuredPool:
    """The pool of a group, in its order; of a large group a seeded sample."""
    places = np.sort(np.random.default_rng(rng_seed).permutation(len(texts))[:LARGEST_POOL])
    return MeasuredPool([texts[place] for place in places], [clusters[place] for place in places], tokenizer)


def sampled_diversity(pool: MeasuredPool, sample: int, rng_seed: int = 0) -> SampledDiversity | None:
    """The diversity of samples of a pool; None if it has fewer than twice as many rows."""
    if pool.rows < 2 * sample:
        return None
    found = intervals(spread(pool.draws(sample, rng_seed), sample, pool.rows))
    return SampledDiversity(sample=sample, pool=pool.rows, **dict(zip(MEASURES, found, strict=True)))


def spread(draws: Floats, sample: int, units: int) -> Floats:
    """Draws of `sample` of `units`, [draws, measures], spread about their mean as the estimate varies."""
    mean: Floats = draws.mean(axis=0)
    return mean + (draws - mean) * math.sqrt(sample / (units - sample))


def intervals(values: Floats) -> tuple[Interval, ...]:
    """The mean and the interval of each column."""
    return tuple(
        Interval(value=mean, low=min(low, mean), high=max(high, mean))
        for column in values.T
        for mean, (low, high) in [(float(column.mean()), ends(column))]
    )


def _numbered(texts: Sequence[Sequence[object]]) -> list[npt.NDArray[np.int64]]:
    numbers: dict[object, int] = {}
    return [np.array([numbers.setdefault(word, len(numbers)) for word in text], np.int64) for text in texts]


def _distinct(numbered: Sequence[npt.NDArray[np.int64]], places: Places) -> float:
    drawn = np.concatenate([numbered[place] for place in places])
    return len(np.unique(drawn)) / len(drawn) if len(drawn) else 0.0
