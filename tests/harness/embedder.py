"""Embeddings without a model: the letter counts of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.embeddings import UNIT

LETTERS = "abcdefghijklmnopqrstuvwxyz?"


@dataclass(frozen=True)
class Letters:
    """An `Embedder`. `error`: a rounding error, as of another CPU, added before rounding to units."""

    model_sha256: str = "ab" * 32
    error: float = 0.0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        counts = np.array([[text.lower().count(letter) for letter in LETTERS] for text in texts], dtype=np.float64)
        counts = counts.reshape(len(texts), len(LETTERS))
        norms = np.sqrt((counts * counts).sum(axis=1, keepdims=True))
        return np.rint((counts / np.maximum(norms, 1.0) + self.error) / UNIT) * UNIT
