"""Clustering by sentence embeddings instead of TF-IDF vectors (`vectorizer=embeddings`).

The core contains no model. It is given an `Embedder`, a pure function of the text for a model hash. Embeddings are
multiples of `UNIT`: a model's arithmetic differs in the last digits between CPUs (by some 1e-16 in float64), and
rounding removes that for nearly every text. From there on, arithmetic in a fixed order gives the same clusters on every
machine (`docs/decisions/embeddings.md`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from schemas.errors import ConfigurationError
from schemas.events import Classifier

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float64]]

UNIT = 2.0**-14


class Embedder(Protocol):
    """Computes embeddings: float64 [texts][dimensions], each row of norm about 1, each value a multiple of UNIT.

    An embedding depends on its text and the model alone, not on the other texts or the machine.
    """

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model's weights, hexadecimal: it identifies the model of a classifier."""
        ...

    def __call__(self, texts: Sequence[str]) -> "Vectors": ...


class Projection:
    """Projects embeddings onto a classifier's axes."""

    def __init__(self, classifier: Classifier, embedder: Embedder | None) -> None:
        """Raises ConfigurationError when the classifier was fitted on another model's embeddings."""
        if embedder is None:
            raise ValueError("A classifier of embeddings needs an embedder; give one to initial_state.")
        if embedder.model_sha256 != classifier.model_sha256:
            raise ConfigurationError(
                f"The run's classifier uses embeddings of the model with SHA-256 {classifier.model_sha256}; the "
                f"installed one has {embedder.model_sha256}. Use the version of this program that made the run."
            )
        import numpy as np

        self.embedder = embedder
        self._weights = np.array(classifier.components, dtype=np.float64).T  # [dimensions][axes]
        self._means = np.array(classifier.means, dtype=np.float64)

    def coordinates_of(self, vectors: "Vectors") -> list[tuple[float, ...]]:
        """The coordinates of each embedding; bit-identical for one text alone and among others."""
        import numpy as np

        sums = np.zeros((len(vectors), len(self._means)))
        # One dimension at a time: the summation order of `@` is unspecified.
        for values, weights in zip(vectors.T, self._weights, strict=True):
            sums += values[:, None] * weights
        return [tuple(place) for place in (sums - self._means).tolist()]


def embed(texts: Sequence[str], embedder: Embedder | None, axes: int) -> "Vectors":
    """The embeddings to fit a classifier with `axes` on. Raises ConfigurationError when too few are distinct."""
    if embedder is None:
        raise ValueError("Fitting a classifier of embeddings needs an embedder.")
    import numpy as np

    vectors = embedder(texts)
    different = len(np.unique(vectors, axis=0))
    if different <= axes:
        raise ConfigurationError(
            f"{2**axes} clusters need more than {axes} seeds with different embeddings to be fitted on; there are "
            f"{different}. Give more seeds or fewer clusters."
        )
    return vectors
