"""Diversity of kept instructions at equal sample sizes, with intervals.

Every measure of diversity depends on how many instructions there are, so groups are compared on samples of one size n.
Rows of one unit (a document, or a generation of the first producer) are alike, so a sample has one row of each of n
units: units are drawn without replacement, `DRAWS` times, by a seeded generator, a row of each at random, and the rows
keep their order. The estimate is the mean over the draws.

Its 95 % interval is the delete-d jackknife's over units (Shao and Wu 1989): the draws' deviations from their mean,
times sqrt(n / (m - n)) for m units to draw from. A bootstrap with replacement would draw units twice, and so find too
little diversity. Which row is drawn of a unit adds to the spread of draws, but not to that of their mean: each draw is
the mean over `CHOICES` choices of rows, and what is left of their variance is taken out, though not so much that the
interval would be narrower than if rows of a unit were independent.

A group takes part if it has rows of 2 n units or more; n is at most half of the units of the smallest group.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise

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
CHOICES = 4
LEAST_UNITS = 20
"""Rows of fewer documents, or generations, have no diversity that could be compared."""
LARGEST_SAMPLE = 250
LARGEST_POOL = 1_000
"""Units to draw from, and their rows; of a larger group, as many are drawn once."""

MEASURES = ("nearest", "verb_noun_pairs", "distinct_1", "distinct_2", "cluster_entropy")
LOWER_IS_MORE_DIVERSE = frozenset(("nearest",))

Places = npt.NDArray[np.intp]


class SampledDiversity(msgspec.Struct, frozen=True, kw_only=True):
    """The diversity of `sample` instructions of a group, each with its interval.

    units              documents that the samples were drawn from; generations of the first producer
    pool               rows of these
    nearest            mean similarity to the nearest before it in the sample; lower is more diverse
    verb_noun_pairs    distinct pairs of root verb and object, guessed (`consumers.compare.words`)
    distinct_1, distinct_2   distinct n-grams of tokens over all of them
    cluster_entropy    of the clusters, in bits
    """

    sample: int
    units: int
    pool: int
    nearest: Interval
    verb_noun_pairs: Interval
    distinct_1: Interval
    distinct_2: Interval
    cluster_entropy: Interval


class MeasuredPool:
    """Instructions to draw samples from, in the order they were kept, each with its unit; measured once."""

    def __init__(
        self, texts: Sequence[str], clusters: Sequence[int], units: Sequence[str], tokenizer: Tokenizer
    ) -> None:
        self.rows = len(texts)
        _, unit_of, self._sizes = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
        self._by_unit = np.argsort(unit_of, kind="stable")
        self._starts = np.cumsum(self._sizes) - self._sizes
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
        bits = entropy(np.bincount(self._clusters[places]).tolist())
        return (
            float(nearest),
            float(len(pairs)),
            _distinct(self._words, places),
            _distinct(self._word_pairs, places),
            bits or 0.0,
        )

    @property
    def units(self) -> int:
        return len(self._sizes)

    def draws(self, sample: int, rng_seed: int) -> Floats:
        """The measures of each draw of `sample` units, [draws, measures], that vary as draws of units do."""
        rng = np.random.default_rng(rng_seed)
        choices = CHOICES if self.rows > self.units else 1
        found = np.empty((DRAWS, choices, len(MEASURES)))
        for draw in found:
            units = rng.permutation(self.units)[:sample]
            for choice in range(choices):
                draw[choice] = self.measure(np.sort(self._one_of_each(units, rng)))
        means: Floats = found.mean(axis=1)
        if choices == 1:
            return means
        of_rows, total = found.var(axis=1, ddof=1).mean(axis=0), means.var(axis=0, ddof=1)
        rows_of_each = 1 / float((1 / self._sizes).mean())
        least = of_rows * (1 - sample / self.units) / (rows_of_each - 1)
        of_units = np.minimum(np.maximum(total - of_rows / choices, least), total)
        scale = np.sqrt(np.divide(of_units, total, out=np.ones_like(total), where=total > 0))
        mean: Floats = means.mean(axis=0)
        scaled: Floats = mean + (means - mean) * scale
        return scaled

    def _one_of_each(self, units: Places, rng: np.random.Generator) -> Places:
        """The place of a row of each of these units."""
        chosen: Places = self._by_unit[self._starts[units] + rng.integers(self._sizes[units])]
        return chosen


def sample_size(groups: Sequence[int], wanted: int | None = None) -> int | None:
    """Rows of a sample, for groups of so many units: half of the smallest that has enough; None if none has."""
    enough = [units for units in groups if units >= LEAST_UNITS]
    if not enough:
        return None
    return min(min(enough) // 2, LARGEST_SAMPLE) if wanted is None else wanted


def pool_of(
    texts: Sequence[str], clusters: Sequence[int], units: Sequence[str], tokenizer: Tokenizer, rng_seed: int = 0
) -> MeasuredPool:
    """The pool of a group, in its order; of a large group a seeded sample of units, and of the rows of each."""
    rng = np.random.default_rng(rng_seed)
    by_unit: defaultdict[str, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        by_unit[unit].append(place)
    used = [*by_unit.values()]
    if len(texts) > LARGEST_POOL:
        used = [used[place] for place in np.sort(rng.permutation(len(used))[:LARGEST_POOL])]
        used = [rng.permutation(of_unit)[: LARGEST_POOL // len(used)].tolist() for of_unit in used]
    places = sorted(chain.from_iterable(used))
    return MeasuredPool(
        [texts[place] for place in places],
        [clusters[place] for place in places],
        [units[place] for place in places],
        tokenizer,
    )


def sampled_diversity(pool: MeasuredPool, sample: int, rng_seed: int = 0) -> SampledDiversity | None:
    """The diversity of samples of a pool; None if it has fewer than twice as many units, or too few."""
    if pool.units < max(2 * sample, LEAST_UNITS):
        return None
    found = intervals(spread(pool.draws(sample, rng_seed), sample, pool.units))
    return SampledDiversity(sample=sample, units=pool.units, pool=pool.rows, **dict(zip(MEASURES, found, strict=True)))


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
    return np.count_nonzero(np.bincount(drawn)) / len(drawn) if len(drawn) else 0.0
