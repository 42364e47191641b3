"""Random draws that are the same on every machine and Python.

Only `random()` of Python's generator is promised to stay as it is, so all else is made of it.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws; the same parts give the same stream."""

    def __init__(self, *parts: str | int) -> None:
        digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
        self._unit = random.Random(int.from_bytes(digest)).random

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + min(int(self._unit() * (most - least + 1)), most - least)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order."""
        keys = [self._unit() for _ in items]
        return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]

    def weighted(self, weights: Sequence[float]) -> int:
        """A place, by weights of which one is above 0."""
        left = self._unit() * sum(weights)
        for place, weight in enumerate(weights):
            if left < weight:
                return place
            left -= weight
        return max(place for place, weight in enumerate(weights) if weight)
