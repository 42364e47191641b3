"""Necessary conditions for F above a threshold θ, from the lengths of two texts alone.

F > θ requires a longest common subsequence of at least `needed_lcs(θ, m, n)`. From that follow exact bounds: the
lengths n that can exceed θ with a text of m tokens; the number of elements in which the two may differ as bags; and the
number of a text's rarest elements to look up so that no partner above θ is missed (the prefix filter of set-similarity
joins: Chaudhuri et al. 2006, Xiao et al. 2008). `needed_lcs` uses the same formula as the decision, so rounding is
consistent.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from streams.core.similarity.rouge import fmeasure, needed_lcs

LONGEST = 127
"""Lengths from here on share one entry of a row, and one code in a signature."""

_UNBOUNDED = 64  # more than the bits of a signature: filters nothing
_NO_LIMIT = 2**31 - 1
_MOST_ROWS = 8192  # bounds the memory for texts of thousands of different lengths; rows are cheap


@dataclass(frozen=True, slots=True)
class LengthBounds:
    """The conditions that a text of m tokens sets for its partners.

    shortest, longest   bounds of a partner's length, inclusive
    reach               for each of the rarest elements to look up, the maximum length of a partner that shares it but
                        none of the rarer ones; capped at LONGEST, which includes all longer ones
    below               for each partner length up to LONGEST, signatures must differ in fewer bits than this; 0 where
                        no partner of that length can be above the threshold
    array               `below` as an array
    """

    shortest: int
    longest: int
    reach: tuple[int, ...]
    below: bytes
    array: npt.NDArray[np.uint8]


class Bounds:
    """The rows of one threshold, computed on demand."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._shortest: dict[int, int] = {}
        self._plain: dict[int, tuple[tuple[int, ...], bytes]] = {}
        self._rows: dict[tuple[int, int], LengthBounds] = {}

    def prefix(self, m: int) -> int:
        """The number of rarest elements to list for a text of m tokens: m - (smallest needed lcs) + 1.

        The shortest partner above the threshold, which must be contained entirely, needs the smallest lcs.
        """
        return m - self.shortest(m) + 1 if m else 0

    def shortest(self, m: int) -> int:
        """The minimum length of a partner of a text of m tokens."""
        known = self._shortest.get(m)
        if known is None:
            known = max(1, int(self.threshold * m / (2 - self.threshold)) - 1)
            while known < m and fmeasure(known, m, known) <= self.threshold:
                known += 1
            self._shortest[m] = known
        return known

    def longest(self, m: int, lcs: int) -> int:
        """The maximum length of a partner that shares `lcs` of m tokens."""
        if lcs * 2 >= _NO_LIMIT * self.threshold:
            return _NO_LIMIT
        known = max(lcs, int(2 * lcs / self.threshold - m) + 2)
        while known > lcs and fmeasure(lcs, m, known) <= self.threshold:
            known -= 1
        return known

    def row(self, m: int, unknown: int) -> LengthBounds:
        """The bounds of a text of m tokens, of which `unknown` elements occur in no kept text."""
        row = self._rows.get((m, unknown))
        if row is None:
            if len(self._rows) >= _MOST_ROWS:
                self._rows.clear()
            reach, below = self._plain_row(m)
            below = below.translate(_less(unknown))
            longest = self.longest(m, m)
            row = LengthBounds(self.shortest(m), longest, reach[unknown:], below, np.frombuffer(below, np.uint8))
            self._rows[m, unknown] = row
        return row

    def _plain_row(self, m: int) -> tuple[tuple[int, ...], bytes]:
        row = self._plain.get(m)
        if row is None:
            if len(self._plain) >= _MOST_ROWS:
                self._plain.clear()
            reach = tuple(min(LONGEST, self.longest(m, m - place)) for place in range(self.prefix(m)))
            row = self._plain[m] = (reach, bytes(self._below(m, n) for n in range(LONGEST + 1)))
        return row

    def _below(self, m: int, n: int) -> int:
        if n == LONGEST:
            return _UNBOUNDED if self.longest(m, m) >= LONGEST else 0
        needed = needed_lcs(self.threshold, m, n)
        return min(_UNBOUNDED, m + n - 2 * needed + 1) if needed <= min(m, n) else 0


@cache
def _less(unknown: int) -> bytes:
    """A table for `bytes.translate` that subtracts the `unknown` elements, in which every partner differs."""
    return bytes(value if value == _UNBOUNDED else max(0, value - unknown) for value in range(256))
