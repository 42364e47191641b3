"""The classifier: which of a run's clusters an instruction belongs to (paper, Diversity-based Filtering).

Texts become vectors: TF-IDF of character n-grams, or sentence embeddings (`streams.core.embeddings`). PCA reduces them
to log2(clusters) axes, and the cell in that space is the cluster. `literal` cuts every axis at zero, so a cell is a
quadrant. `nested` cuts each axis at the median of its parent's half: the first axis once, the second once in each half,
and so on; cells are equal on what was fitted.
`balanced` cuts the same tree at other quantiles, so that the rows up to the next fit fill the clusters that are behind:
what is in a partition stays there, so equal cells alone never make good what earlier fits did unevenly.
A coordinate on the cut counts as above it. Cluster number: bit k is 1 when the text is above the cut on axis k.

Fitting uses scikit-learn and its numbers may differ in the last digit between machines, which is why a fit is an event:
the numbers, rounded, are the classifier. Applying it is plain arithmetic in one fixed order, the same everywhere.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain, count, islice, takewhile
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.events import Classifier
from schemas.policy import Policy
from streams.core.embeddings import Embedder, Projection, embed

if TYPE_CHECKING:
    import numpy as np

    Columns = np.ndarray[tuple[int], np.dtype[np.intp]]

NGRAMS = (2, 4)
MAX_COLUMNS = 2000
MAX_TEXTS = 20_000
DIGITS = 7
BEYOND = 4.0
"""Farther out than any text lies on an axis: vectors have length 1."""
LONGEST_KNOWN = 30  # longer words are not remembered
WORDS_KNOWN = 20_000
_TEXTS_AT_ONCE = 2_000
_CALM = 600  # see _marks


class ClusterModel:
    """A classifier ready to be applied; holds nothing that its numbers and the embedder that they name do not say."""

    def __init__(self, classifier: Classifier, embedder: Embedder | None = None) -> None:
        """`embedder`: of the model that a classifier of embeddings was fitted on; others need none."""
        self._numbers = classifier
        self._projection = Projection(classifier, embedder) if classifier.vectorizer == "embeddings" else None
        self._column = {term: column for column, term in enumerate(classifier.vocabulary)}
        self._known: dict[str, Columns] = {}  # most words come again and again

    def __reduce__(self) -> tuple[type["ClusterModel"], tuple[Classifier, Embedder | None]]:
        return ClusterModel, (self._numbers, None if self._projection is None else self._projection.embedder)

    @cached_property
    def _weights(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """Idf of each column, then its PCA weight on each axis times its idf: [columns][1 + axes]."""
        import numpy as np

        idf = np.array(self._numbers.idf, dtype=np.float64)
        axes = np.array(self._numbers.components, dtype=np.float64).reshape(len(self._numbers.means), len(idf))
        return np.column_stack((idf, (axes * idf).T))

    def _read(self, word: str) -> "Columns":
        """The columns of a word's n-grams, remembered."""
        import numpy as np

        terms = char_ngrams(word, self._numbers.ngrams)
        columns = np.array([self._column[term] for term in terms if term in self._column], dtype=np.intp)
        if len(self._known) >= WORDS_KNOWN:
            self._known.clear()
        self._known[word] = columns
        return columns

    def coordinates(self, text: str) -> tuple[float, ...]:
        """The text's place on each PCA axis."""
        if self._projection is not None:
            return self._projection.coordinates_of(self._projection.embedder([text]))[0]
        import numpy as np

        means = self._numbers.means
        known = self._known
        found = [
            columns if (columns := known.get(word)) is not None else self._read(word) for word in text.lower().split()
        ]
        all_columns = np.concatenate(found) if found else ()
        if not len(all_columns):
            return tuple(0.0 - mean for mean in means)
        counts = np.bincount(all_columns)
        columns = counts.nonzero()[0]
        weighted = self._weights[columns] * counts[columns, None]
        # Sums are accumulated in the order of the columns: `np.sum` and `dot` add in an order that is their own affair.
        # Not `weight**2`: pow of the C library is not correctly rounded, and not the same everywhere.
        squares = weighted[:, 0] * weighted[:, 0]
        norm = math.sqrt(np.add.accumulate(squares)[-1])
        sums = np.add.accumulate(weighted[:, 1:])[-1].tolist()
        return tuple((total / norm if norm else 0.0) - mean for total, mean in zip(sums, means, strict=True))

    def coordinates_of(self, counts: Any) -> list[tuple[float, ...]]:
        """`coordinates` of many texts at once, bit for bit.

        `counts`: sparse [texts][columns] of their n-grams, or their embeddings, [texts][dimensions].
        """
        if self._projection is not None:
            return self._projection.coordinates_of(counts)
        import numpy as np

        counts = counts.sorted_indices()  # sums go by column
        found: list[tuple[float, ...]] = []
        for start in range(0, counts.shape[0], _TEXTS_AT_ONCE):
            block = counts[start : start + _TEXTS_AT_ONCE]
            weighted = self._weights[block.indices] * block.data[:, None]
            weighted[:, 0] *= weighted[:, 0]
            lengths = np.diff(block.indptr)
            sums = np.zeros((len(lengths), weighted.shape[1]))
            for place in range(int(lengths.max(initial=0))):  # the next column of every text that has one
                some = lengths > place
                sums[some] += weighted[block.indptr[:-1][some] + place]
            norms = np.sqrt(sums[:, :1])
            places = np.divide(sums[:, 1:], norms, out=np.zeros_like(sums[:, 1:]), where=norms > 0)
            found += map(tuple, (places - np.array(self._numbers.means)).tolist())
        return found

    def cluster(self, text: str) -> int:
        """The cluster of a text, 0 .. 2**axes - 1."""
        node = 0
        for axis, coordinate in enumerate(self.coordinates(text)):
            node |= (coordinate >= self._numbers.cuts[axis][node]) << axis
        return node


def char_ngrams(text: str, sizes: tuple[int, int]) -> list[str]:
    """Character n-grams within words, each word padded by one blank on either side, lower-cased.

    A word shorter than n gives itself once, at the first n that it does not reach.
    """
    found: list[str] = []
    for word in text.lower().split():
        found += (_ngrams_of_known if len(word) <= LONGEST_KNOWN else _ngrams_of)(word, *sizes)
    return found


def _ngrams_of(word: str, low: int, high: int) -> tuple[str, ...]:
    padded = f" {word} "
    found: list[str] = []
    for n in range(low, high + 1):
        if len(padded) <= n:
            found.append(padded)
            break
        found += [padded[start : start + n] for start in range(len(padded) - n + 1)]
    return tuple(found)


# Most words come again and again; to remember them halves the time of a fit.
_ngrams_of_known = lru_cache(maxsize=WORDS_KNOWN)(_ngrams_of)


def fit(
    texts: Sequence[str], policy: Policy, sizes: Sequence[int] | None = None, embedder: Embedder | None = None
) -> Classifier:
    """Fit the policy's classifier on texts, all of them or an even stride through at most MAX_TEXTS.

    `sizes`: rows in each cluster so far, [clusters]; None: none yet. Only `balanced` heeds them.
    `embedder`: what `vectorizer=embeddings` needs.
    Raises ConfigurationError when there are too few different texts for the axes.
    """
    axes = policy.axes
    if axes == 0:
        return Classifier(ngrams=NGRAMS, vocabulary=(), idf=(), components=(), means=(), cuts=())
    if len(set(texts)) <= axes:
        raise ConfigurationError(
            f"{policy.clusters} clusters need more than {axes} different seeds to be fitted on; "
            f"there are {len(set(texts))}. Give more seeds or fewer clusters."
        )
    from sklearn.decomposition import PCA

    sample = [texts[place * len(texts) // MAX_TEXTS] for place in range(MAX_TEXTS)] if len(texts) > MAX_TEXTS else texts
    vocabulary: tuple[str, ...] = ()
    idf: tuple[float, ...] = ()
    if policy.vectorizer == "embeddings":
        columns = matrix = embed(sample, embedder, axes)
    else:
        vocabulary, idf, columns, matrix = _tfidf(sample, policy)
        embedder = None
    pca = PCA(n_components=axes, svd_solver="arpack", random_state=0).fit(matrix)
    at_zero = Classifier(
        ngrams=NGRAMS,
        vocabulary=vocabulary,
        idf=idf,
        components=tuple(tuple(_rounded(value) for value in axis) for axis in pca.components_),
        means=tuple(_rounded(value) for value in pca.components_ @ pca.mean_),
        cuts=tuple((0.0,) * 2**axis for axis in range(axes)),
        vectorizer=policy.vectorizer,
        model_sha256=None if embedder is None else embedder.model_sha256,
    )
    if policy.classifier == "literal":
        return at_zero
    points = ClusterModel(at_zero, embedder).coordinates_of(columns)
    return msgspec.structs.replace(at_zero, cuts=_cuts(policy, points, sizes or (0,) * policy.clusters))


def _tfidf(texts: Sequence[str], policy: Policy) -> tuple[tuple[str, ...], tuple[float, ...], Any, Any]:
    """Vocabulary, idf, counts and TF-IDF vectors of texts; the latter two sparse, [texts][columns]."""
    from sklearn.feature_extraction.text import TfidfTransformer

    vocabulary, counts = _term_counts(texts)
    if min(counts.shape) <= policy.axes:
        raise ConfigurationError(
            f"{policy.clusters} clusters need more than {policy.axes} different pieces of words in the seeds to be "
            f"fitted on; there are {counts.shape[1]}. Give more seeds or fewer clusters."
        )
    transformer = TfidfTransformer()
    matrix = transformer.fit_transform(counts)
    return vocabulary, tuple(_rounded(value) for value in transformer.idf_), counts, matrix


def _term_counts(texts: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """The MAX_COLUMNS most frequent n-grams, in order, and a sparse matrix of how often each text has each.

    Texts are counted by words and words by n-grams, whose product is the same: most words come again and again.
    """
    import numpy as np
    from scipy import sparse

    words: defaultdict[str, int] = defaultdict(count().__next__)  # numbered as they come
    lines = [[words[word] for word in text.lower().split()] for text in texts]
    terms: defaultdict[str, int] = defaultdict(count().__next__)
    pieces = [[terms[term] for term in char_ngrams(word, NGRAMS)] for word in words]
    matrix = _counts(lines, len(words)) @ _counts(pieces, len(terms))
    totals = np.asarray(matrix.sum(axis=0)).ravel().tolist()
    chosen = sorted(sorted(terms, key=lambda term: (-totals[terms[term]], term))[:MAX_COLUMNS])
    return tuple(chosen), sparse.csr_matrix(matrix[:, [terms[term] for term in chosen]], dtype=np.float64)


def _counts(rows: Sequence[Sequence[int]], columns: int) -> Any:
    """How often each row holds each number below `columns`, as a sparse matrix."""
    import numpy as np
    from scipy import sparse

    ends = np.cumsum([0, *map(len, rows)])
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(ends[-1]))
    return sparse.csr_matrix((np.ones(len(flat)), flat, ends), shape=(len(rows), columns))


def _cuts(policy: Policy, points: Sequence[tuple[float, ...]], sizes: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    if policy.classifier == "nested":
        return _tree_cuts(points, policy.axes, lambda values, axis, node: _median(values))
    shares = _shares(policy, sizes)

    def quantile(values: list[float], axis: int, node: int) -> float:
        inside = range(node, policy.clusters, 2**axis)  # clusters whose lower bits are the node
        below = math.fsum(shares[cluster] for cluster in inside if not cluster >> axis & 1)
        total = math.fsum(shares[cluster] for cluster in inside)
        return _quantile(values, below / total if total else 0.5)

    return _tree_cuts(points, policy.axes, quantile)


def _shares(policy: Policy, sizes: Sequence[int]) -> list[float]:
    """The share of the rows up to the next refit that each cluster is to get, so that all are equally full then."""
    total = sum(sizes)
    wanted = next(mark for mark in _marks(policy) if mark > total) / policy.clusters
    missing = [max(0.0, wanted - size) for size in sizes]
    return [each / math.fsum(missing) for each in missing]


def _tree_cuts(
    points: Sequence[tuple[float, ...]], axes: int, cut: Callable[[list[float], int, int], float]
) -> tuple[tuple[float, ...], ...]:
    """What `cut` makes of each node's points on its axis; a node without points is cut by all points."""
    nodes: dict[int, list[tuple[float, ...]]] = {0: list(points)}
    cuts = []
    for axis in range(axes):
        level = tuple(
            cut(sorted(point[axis] for point in (nodes.get(node) or points)), axis, node) for node in range(2**axis)
        )
        cuts.append(level)
        halves: dict[int, list[tuple[float, ...]]] = {}
        for node, members in nodes.items():
            for point in members:
                halves.setdefault(node | (point[axis] >= level[node]) << axis, []).append(point)
        nodes = halves
    return tuple(cuts)


def _median(ordered: list[float]) -> float:
    return ordered[len(ordered) // 2]


def _quantile(ordered: list[float], below: float) -> float:
    """A cut that has this share of the values below it: halfway between two, so that no last digit decides."""
    place = round(below * len(ordered))
    if place <= 0:
        return -BEYOND
    if place >= len(ordered):
        return BEYOND
    return _rounded((ordered[place - 1] + ordered[place]) / 2)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def refit_due(policy: Policy, kept_total: int, fits: int) -> bool:
    """Whether the classifier is to be fitted on the kept instructions, after `fits` marks have been passed.

    `literal` is never refitted, and no mark counts before there are more instructions than axes, which a fit needs.
    """
    if policy.classifier == "literal" or policy.axes == 0:
        return False
    return kept_total > policy.axes and kept_total >= next(islice(_marks(policy), fits, None))


def marks_passed(policy: Policy, kept_total: int) -> int:
    """How many of the refit marks a number of kept instructions has passed."""
    return sum(1 for _ in takewhile(lambda mark: mark <= kept_total, _marks(policy)))


def _marks(policy: Policy) -> Iterator[int]:
    """Numbers of kept instructions at which the classifier is fitted again: `refit_from`, then whenever they have grown
    by `refit_growth`, and in longer steps, up to doublings, where chance alone unbalances the clusters less.

    Of m rows dealt at random to c clusters the emptiest lacks about 1.8 * sqrt(m / c) rows at 16 clusters, which is 7 %
    of its n / c rows when m = n * n / (600 * c).
    """
    mark = policy.refit_from
    while True:
        yield mark
        by_chance = min(mark, mark * mark // (_CALM * policy.clusters))
        mark += max(1, int(mark * policy.refit_growth) - mark, by_chance)
