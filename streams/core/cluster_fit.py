"""Fits the classifier, and decides when it is fitted again (paper, Diversity-based Filtering).

PCA reduces the texts' vectors to log2(clusters) axes, and each axis is cut. `literal` cuts every axis at zero, so a
cell is a quadrant. `nested` cuts each axis at the median of its parent's half: the first axis once, the second once in
each half, and so on; the cells have equal numbers of the fitted texts. `balanced` cuts the same tree at other
quantiles, so that the rows up to the next fit fill the clusters that are behind: rows never move, so equal cells cannot
compensate for earlier fits.

Fitting uses scikit-learn, whose results may differ in the last digit between machines. So a fit is an event: the
rounded numbers are the classifier.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice, takewhile
from typing import Any, TypeVar

import msgspec

from schemas.errors import ConfigurationError
from schemas.events import Classifier
from schemas.policy import Policy
from streams.core.clusters import NGRAMS, ClusterModel, char_ngrams
from streams.core.embeddings import Embedder, embed

MAX_COLUMNS = 2000
MAX_TEXTS = 20_000
DIGITS = 7
BEYOND = 4.0
"""Beyond the coordinates of any text: vectors have length 1."""
_CALM = 600  # see _marks

T = TypeVar("T")


def fit(
    texts: Sequence[str], policy: Policy, sizes: Sequence[int] | None = None, embedder: Embedder | None = None
) -> Classifier:
    """Fit the policy's classifier on texts: on all, or on MAX_TEXTS of them at an even stride.

    `sizes`: rows in each cluster so far, [clusters]; None: none yet. Only `balanced` uses them.
    `embedder`: for `vectorizer=embeddings`. Raises ConfigurationError when there are too few distinct texts.
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

    texts = sample(texts)
    vocabulary: tuple[str, ...] = ()
    idf: tuple[float, ...] = ()
    if policy.vectorizer == "embeddings":
        columns = matrix = embed(texts, embedder, axes)
    else:
        vocabulary, idf, columns, matrix = _tfidf(texts, policy)
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


def sample(rows: Sequence[T]) -> Sequence[T]:
    """All rows, or MAX_TEXTS of them at an even stride; a sample's sample is itself."""
    if len(rows) <= MAX_TEXTS:
        return rows
    return [rows[place * len(rows) // MAX_TEXTS] for place in range(MAX_TEXTS)]


def _tfidf(texts: Sequence[str], policy: Policy) -> tuple[tuple[str, ...], tuple[float, ...], Any, Any]:
    """Vocabulary, idf, counts and TF-IDF vectors of texts; the latter two sparse, [texts][columns]."""
    from sklearn.feature_extraction.text import TfidfTransformer

    vocabulary, counts = _term_counts(texts)
    if min(counts.shape) <= policy.axes:
        raise ConfigurationError(
            f"{policy.clusters} clusters need more than {policy.axes} different n-grams in the seeds to be "
            f"fitted on; there are {counts.shape[1]}. Give more seeds or fewer clusters."
        )
    transformer = TfidfTransformer()
    matrix = transformer.fit_transform(counts)
    return vocabulary, tuple(_rounded(value) for value in transformer.idf_), counts, matrix


def _term_counts(texts: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """The MAX_COLUMNS most frequent n-grams, sorted, and their counts in each text, a sparse matrix.

    The product of word counts per text and n-gram counts per word: faster, because most words recur.
    """
    import numpy as np
    from scipy import sparse

    words: defaultdict[str, int] = defaultdict(count().__next__)  # numbered in order of appearance
    lines = [[words[word] for word in text.lower().split()] for text in texts]
    terms: defaultdict[str, int] = defaultdict(count().__next__)
    pieces = [[terms[term] for term in char_ngrams(word, NGRAMS)] for word in words]
    matrix = _counts(lines, len(words)) @ _counts(pieces, len(terms))
    totals = np.asarray(matrix.sum(axis=0)).ravel().tolist()
    chosen = sorted(sorted(terms, key=lambda term: (-totals[terms[term]], term))[:MAX_COLUMNS])
    return tuple(chosen), sparse.csr_matrix(matrix[:, [terms[term] for term in chosen]], dtype=np.float64)


def _counts(rows: Sequence[Sequence[int]], columns: int) -> Any:
    """The counts of each number below `columns` in each row, as a sparse matrix."""
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
    """The share of the rows until the next refit that each cluster needs for all to be equally full then."""
    total = sum(sizes)
    wanted = next(mark for mark in _marks(policy) if mark > total) / policy.clusters
    missing = [max(0.0, wanted - size) for size in sizes]
    return [each / math.fsum(missing) for each in missing]


def _tree_cuts(
    points: Sequence[tuple[float, ...]], axes: int, cut: Callable[[list[float], int, int], float]
) -> tuple[tuple[float, ...], ...]:
    """The result of `cut` for each node's points on its axis; a node without points uses all points."""
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
    """A cut with this share of the values below it, halfway between two values, so that no last digit decides."""
    place = round(below * len(ordered))
    if place <= 0:
        return -BEYOND
    if place >= len(ordered):
        return BEYOND
    return _rounded((ordered[place - 1] + ordered[place]) / 2)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def next_refit(policy: Policy, fits: int) -> int | None:
    """The number of kept instructions from which on a fit is due, after `fits` marks have been passed.

    None for `literal`, which is never refitted. A fit needs more instructions than axes.
    """
    if policy.classifier == "literal" or policy.axes == 0:
        return None
    return max(policy.axes + 1, next(islice(_marks(policy), fits, None)))


def marks_passed(policy: Policy, kept_total: int) -> int:
    """The number of refit marks that a number of kept instructions has passed."""
    return sum(1 for _ in takewhile(lambda mark: mark <= kept_total, _marks(policy)))


def _marks(policy: Policy) -> Iterator[int]:
    """The numbers of kept instructions at which the classifier is fitted: `refit_from`, then at each growth by
    `refit_growth`, or in longer steps, at most doublings, once chance alone unbalances the clusters less.

    Of m rows assigned at random to 16 clusters, the smallest lacks about 1.8 * sqrt(m / 16) rows: 7 % of its n / 16
    rows when m = n * n / (600 * 16).
    """
    mark = policy.refit_from
    while True:
        yield mark
        by_chance = min(mark, mark * mark // (_CALM * policy.clusters))
        mark += max(1, int(mark * policy.refit_growth) - mark, by_chance)
