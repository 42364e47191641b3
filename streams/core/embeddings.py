"""Sentence embeddings as what texts are clustered by, in place of TF-IDF vectors (`vectorizer=embeddings`).

The core knows no model: it is given an `Embedder`, a pure function of the text for as long as its model's hash is the
same. Embeddings come in whole units of `UNIT`. A model's arithmetic differs in the last digits between processors (by
some 1e-16 in float64), which rounding to units takes away for nearly every text; what follows, from coordinates to
cells, is plain arithmetic in one fixed order on equal numbers, the same everywhere (`docs/decisions/embeddings.md`).
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
    """Makes embeddings: float64 [texts][dimensions], each row of length about 1, each value a multiple of UNIT.

    A text's embedding depends on the text and the model alone, not on the other texts or the machine.
    """

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model's weights, hexadecimal: which model a classifier is of."""
        ...

    def __call__(self, texts: Sequence[str]) -> "Vectors": ...


class Projection:
    """A classifier's axes, on which embedded texts have their places."""

    def __init__(self, classifier: Classifier, embedder: Embedder | None) -> None:
        """Raises ConfigurationError when the classifier was fitted on another model's embeddings."""
        if embedder is None:
            raise ValueError("A classifier of embeddings needs an embedder; give one to initial_state.")
        if embedder.model_sha256 != classifier.model_sha256:
            raise ConfigurationError(
                f"The run's classifier is of embeddings by the model with SHA-256 {classifier.model_sha256}, the one "
                f"that is installed has {embedder.model_sha256}. Use the version of this program that made the run."
            )
        import numpy as np

        self.embedder = embedder
        self._weights = np.array(classifier.components, dtype=np.float64).T  # [dimensions][axes]
        self._means = np.array(classifier.means, dtype=np.float64)

    def coordinates_of(self, vectors: "Vectors") -> list[tuple[float, ...]]:
        """The place of each embedded text on each axis; the same bits for one text alone and among others."""
        import numpy as np

        sums = np.zeros((len(vectors), len(self._means)))
        # One dimension after the other: `@` adds in an order that is its own affair.
        for values, weights in zip(vectors.T, self._weights, strict=True):
            sums += values[:, None] * weights
        return [tuple(place) for place in (sums - self._means).tolist()]


def embed(texts: Sequence[str], embedder: Embedder | None, axes: int) -> "Vectors":
    """The embeddings to fit a classifier of so many axes on.

    Raises ConfigurationError when too few texts differ in meaning.
    """
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
