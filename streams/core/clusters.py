"""The classifier: maps an instruction to one of a run's clusters (paper, Diversity-based Filtering).

A text becomes a vector: TF-IDF of character n-grams, or a sentence embedding (`streams.core.embeddings`). PCA axes give
its coordinates, and cuts on each axis the cell, which is the cluster: bit k of its number is 1 when the text is above
the cut on axis k, or on it. `streams.core.cluster_fit` fits the numbers; applying them is arithmetic in a fixed order,
with the same result on every machine.
"""

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from schemas import native
from schemas.events import Classifier
from streams.core.embeddings import Embedder, Projection

if TYPE_CHECKING:
    import numpy as np
    import sedi_native

    Columns = np.ndarray[tuple[int], np.dtype[np.intp]]
    Coordinates = np.ndarray[tuple[int, int], np.dtype[np.float64]]

NGRAMS = (2, 4)
LONGEST_KNOWN = 30  # longer words are not cached
WORDS_KNOWN = 20_000
_TEXTS_AT_ONCE = 256
_TERMS_AT_ONCE = 100_000  # in memory at once, with their weights: some megabytes


class ClusterModel:
    """A classifier ready to be applied; a function of its numbers and its embedder."""

    def __init__(self, classifier: Classifier, embedder: Embedder | None = None) -> None:
        """`embedder`: the model that a classifier of embeddings was fitted on; others need none."""
        self._numbers = classifier
        self._projection = Projection(classifier, embedder) if classifier.vectorizer == "embeddings" else None
        self._column = {term: column for column, term in enumerate(classifier.vocabulary)}
        self._known: dict[str, Columns] = {}  # a cache: most words recur

    def __reduce__(self) -> tuple[type["ClusterModel"], tuple[Classifier, Embedder | None]]:
        return ClusterModel, (self._numbers, None if self._projection is None else self._projection.embedder)

    @cached_property
    def _weights(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """Idf of each column, then its PCA weight on each axis times its idf: [columns][1 + axes]."""
        import numpy as np

        idf = np.array(self._numbers.idf, dtype=np.float64)
        axes = np.array(self._numbers.components, dtype=np.float64).reshape(len(self._numbers.means), len(idf))
        return np.column_stack((idf, (axes * idf).T))

    @cached_property
    def _compiled(self) -> "sedi_native.Clusters | None":
        if native.CORE is None or self._projection is not None:
            return None
        numbers = self._numbers
        made: sedi_native.Clusters = native.CORE.Clusters(
            numbers.ngrams, numbers.vocabulary, numbers.idf, numbers.components, numbers.means, numbers.cuts
        )
        return made

    def _read(self, word: str) -> "Columns":
        """The columns of a word's n-grams, cached."""
        import numpy as np

        terms = char_ngrams(word, self._numbers.ngrams)
        columns = np.array([self._column[term] for term in terms if term in self._column], dtype=np.intp)
        if len(self._known) >= WORDS_KNOWN:
            self._known.clear()
        self._known[word] = columns
        return columns

    def coordinates(self, text: str) -> tuple[float, ...]:
        """The text's coordinate on each PCA axis."""
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
        # Accumulated in column order: the summation order of `np.sum` and `dot` is unspecified.
        # Not `weight**2`: the C library's pow is not correctly rounded and differs between platforms.
        squares = weighted[:, 0] * weighted[:, 0]
        norm = math.sqrt(np.add.accumulate(squares)[-1])
        sums = np.add.accumulate(weighted[:, 1:])[-1].tolist()
        return tuple((total / norm if norm else 0.0) - mean for total, mean in zip(sums, means, strict=True))

    def coordinates_of(self, counts: Any) -> list[tuple[float, ...]]:
        """`coordinates` of many texts at once, bit-identical.

        `counts`: their n-gram counts, sparse [texts][columns], or their embeddings, [texts][dimensions].
        """
        if self._projection is not None:
            return self._projection.coordinates_of(counts)
        counts = counts.sorted_indices()  # summed in column order
        return list(map(tuple, self._placed(counts.indices, counts.data, counts.indptr).tolist()))

    def cluster(self, text: str) -> int:
        """The cluster of a text, 0 .. 2**axes - 1."""
        if self._compiled is not None:
            return self.clusters([text])[0]
        node = 0
        for axis, coordinate in enumerate(self.coordinates(text)):
            node |= (coordinate >= self._numbers.cuts[axis][node]) << axis
        return node

    def clusters(self, texts: Sequence[str]) -> list[int]:
        """`cluster` of each text, bit-identical and faster."""
        if self._compiled is not None:
            try:
                return self._compiled.clusters(texts)
            except ValueError:  # half a surrogate pair, which has no UTF-8
                pass
        found: list[int] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            found += self._cells(texts[start : start + _TEXTS_AT_ONCE])
        return found

    def _cells(self, texts: Sequence[str]) -> list[int]:
        import numpy as np

        if self._projection is not None:
            coordinates = np.array(self._projection.coordinates_of(self._projection.embedder(texts)))
        else:
            coordinates = self._placed(*self._counted(texts))
        nodes = np.zeros(len(texts), dtype=np.intp)
        for axis, level in enumerate(self._numbers.cuts):
            nodes |= (coordinates[:, axis] >= np.array(level)[nodes]).astype(np.intp) << axis
        cells: list[int] = nodes.tolist()
        return cells

    def _counted(self, texts: Sequence[str]) -> "tuple[Columns, Columns, Columns]":
        """The columns of the texts in order, their counts, and where each text's begin: [n], [n], [texts + 1]."""
        import numpy as np

        known, width = self._known, len(self._column)
        found: list[Columns] = []
        sizes = []
        for text in texts:
            first = len(found)
            for word in text.lower().split():
                columns = known.get(word)
                found.append(self._read(word) if columns is None else columns)
            sizes.append(sum(map(len, found[first:])))
        of_text = np.repeat(np.arange(len(texts)) * width, sizes)
        if not len(of_text):
            return of_text, of_text, np.zeros(len(texts) + 1, dtype=np.intp)
        numbers, counts = np.unique(of_text + np.concatenate(found), return_counts=True)
        starts = np.searchsorted(numbers, np.arange(len(texts) + 1) * width)
        return numbers % width, counts, starts

    def _placed(self, columns: Any, counts: Any, starts: Any) -> "Coordinates":
        """The coordinates, [texts][axes], of texts with these columns in order, each with its count; text k's are
        those from `starts[k]` to `starts[k + 1]`.
        """
        import numpy as np

        lengths = np.diff(starts)
        sums = np.zeros((len(lengths), 1 + len(self._numbers.means)))
        order = np.argsort(lengths, kind="stable")  # texts of like length share a block
        first = 0
        while first < len(order):
            longest = int(lengths[order[min(first + _TEXTS_AT_ONCE, len(order)) - 1]])
            texts = order[first : first + max(1, min(_TEXTS_AT_ONCE, _TERMS_AT_ONCE // max(1, longest)))]
            first += len(texts)
            longest = int(lengths[texts[-1]])
            if not longest:
                continue
            steps = np.arange(longest)[:, None]
            there = steps < lengths[texts]
            at = np.where(there, starts[texts] + steps, 0)
            weighted = self._weights[columns[at]] * np.where(there, counts[at], 0)[:, :, None]
            weighted[:, :, 0] *= weighted[:, :, 0]
            # `accumulate`, whose order is that of the columns; the zeros after a text's last change nothing.
            sums[texts] = np.add.accumulate(weighted, out=weighted)[-1]
        norms = np.sqrt(sums[:, :1])
        placed = np.divide(sums[:, 1:], norms, out=np.zeros_like(sums[:, 1:]), where=norms > 0)
        placed -= np.array(self._numbers.means)
        return placed


def char_ngrams(text: str, sizes: tuple[int, int]) -> list[str]:
    """Character n-grams within lower-cased words, each padded by one blank on either side.

    A padded word no longer than n is one n-gram, and the last.
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


# Most words recur: the cache halves the time of a fit.
_ngrams_of_known = lru_cache(maxsize=WORDS_KNOWN)(_ngrams_of)
