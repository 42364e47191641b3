"""The classifier: which of `batch_size` clusters an instruction belongs to (paper, Diversity-based Filtering).

Texts become TF-IDF vectors of character n-grams, PCA reduces them to log2(batch_size) axes, and the cell in that space
is the cluster. `literal` cuts every axis at zero, so a cell is a quadrant. `nested` cuts each axis at the median of its
parent's half: the first axis once, the second once in each half, and so on; cells are equal on what was fitted.
A coordinate on the cut counts as above it. Cluster number: bit k is 1 when the text is above the cut on axis k.

Fitting uses scikit-learn and its numbers may differ in the last digit between machines, which is why a fit is an event:
the numbers, rounded, are the classifier. Applying it is exact arithmetic (correctly rounded sums), the same everywhere.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache

from schemas.errors import ConfigurationError
from schemas.events import Classifier
from schemas.policy import Policy

NGRAMS = (2, 4)
MAX_COLUMNS = 2000
MAX_TEXTS = 20_000
DIGITS = 7
LONGEST_KNOWN = 30  # longer words are not remembered


class ClusterModel:
    """A classifier ready to be applied; holds nothing that its numbers do not say."""

    def __init__(self, classifier: Classifier) -> None:
        self._numbers = classifier
        self._column = {term: column for column, term in enumerate(classifier.vocabulary)}

    @cached_property
    def _weights(self) -> tuple[tuple[float, ...], ...]:
        """PCA weight of each column on each axis, times the column's idf: [columns][axes]."""
        components = self._numbers.components
        return tuple(tuple(axis[column] * idf for axis in components) for column, idf in enumerate(self._numbers.idf))

    def coordinates(self, text: str) -> tuple[float, ...]:
        """The text's place on each PCA axis."""
        counts = Counter([self._column[t] for t in char_ngrams(text, self._numbers.ngrams) if t in self._column])
        weights = [count * self._numbers.idf[column] for column, count in counts.items()]
        # not `weight**2`: pow of the C library is not correctly rounded, and not the same everywhere
        norm = math.sqrt(math.fsum([weight * weight for weight in weights]))
        sums = (
            math.fsum([count * self._weights[column][axis] for column, count in counts.items()])
            for axis in range(len(self._numbers.means))
        )
        return tuple(
            (total / norm if norm else 0.0) - mean for total, mean in zip(sums, self._numbers.means, strict=True)
        )

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
_ngrams_of_known = lru_cache(maxsize=20_000)(_ngrams_of)


def fit(texts: Sequence[str], policy: Policy) -> Classifier:
    """Fit the policy's classifier on texts, all of them or an even stride through at most MAX_TEXTS.

    Raises ConfigurationError when there are too few different texts for the axes.
    """
    axes = policy.axes
    if axes == 0:
        return Classifier(ngrams=NGRAMS, vocabulary=(), idf=(), components=(), means=(), cuts=())
    if len(set(texts)) <= axes:
        raise ConfigurationError(
            f"A batch size of {policy.batch_size} needs more than {axes} different seeds to fit the clusters on; "
            f"there are {len(set(texts))}. Give more seeds or a smaller batch_size."
        )
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.feature_extraction.text import TfidfVectorizer

    sample = [texts[place * len(texts) // MAX_TEXTS] for place in range(MAX_TEXTS)] if len(texts) > MAX_TEXTS else texts
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: char_ngrams(text, NGRAMS), max_features=MAX_COLUMNS, dtype=np.float64
    )
    matrix = vectorizer.fit_transform(sample)
    if min(matrix.shape) <= axes:
        raise ConfigurationError(
            f"A batch size of {policy.batch_size} needs more than {axes} different pieces of words in its seeds to fit "
            f"the clusters on; there are {matrix.shape[1]}. Give more seeds or a smaller batch_size."
        )
    pca = PCA(n_components=axes, svd_solver="arpack", random_state=0).fit(matrix)
    idf = tuple(_rounded(value) for value in vectorizer.idf_)
    components = tuple(tuple(_rounded(value) for value in axis) for axis in pca.components_)
    means = tuple(_rounded(value) for value in pca.components_ @ pca.mean_)
    vocabulary = tuple(str(term) for term in vectorizer.get_feature_names_out())
    at_zero = tuple((0.0,) * 2**axis for axis in range(axes))
    literal = Classifier(
        ngrams=NGRAMS, vocabulary=vocabulary, idf=idf, components=components, means=means, cuts=at_zero
    )
    if policy.classifier == "literal":
        return literal
    model = ClusterModel(literal)
    return Classifier(
        ngrams=NGRAMS,
        vocabulary=vocabulary,
        idf=idf,
        components=components,
        means=means,
        cuts=_nested_cuts([model.coordinates(text) for text in sample], axes),
    )


def _nested_cuts(points: Sequence[tuple[float, ...]], axes: int) -> tuple[tuple[float, ...], ...]:
    """The median of each node's points on its axis; a node without points inherits the cut of all points."""
    nodes: dict[int, list[tuple[float, ...]]] = {0: list(points)}
    cuts = []
    for axis in range(axes):
        level = tuple(_median([point[axis] for point in (nodes.get(node) or points)]) for node in range(2**axis))
        cuts.append(level)
        halves: dict[int, list[tuple[float, ...]]] = {}
        for node, members in nodes.items():
            for point in members:
                halves.setdefault(node | (point[axis] >= level[node]) << axis, []).append(point)
        nodes = halves
    return tuple(cuts)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def refit_due(policy: Policy, kept_total: int, fits: int) -> bool:
    """Whether the classifier is to be fitted on the kept instructions, after `fits` marks have been passed.

    The marks are `refit_from` kept instructions, and each doubling of that. `literal` is never refitted, and no mark
    counts before there are more instructions than axes, which a fit needs.
    """
    if policy.classifier != "nested" or policy.axes == 0:
        return False
    return kept_total > policy.axes and kept_total >= policy.refit_from * 2**fits


def marks_passed(policy: Policy, kept_total: int) -> int:
    """How many of the refit marks a number of kept instructions has passed."""
    passed = 0
    while kept_total >= policy.refit_from * 2**passed:
        passed += 1
    return passed
