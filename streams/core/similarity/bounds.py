"""What two texts must have in common for their F to be above a threshold, from their lengths alone.

F > θ asks for a longest common subsequence of at least `needed_lcs(θ, m, n)`. From that follow, exactly and without
slack: which lengths n can be above θ with a text of m tokens at all; by how many elements the two may differ as bags;
and how many of the rarest elements of a text must be looked up so that no partner above θ is missed (the prefix filter
of set-similarity joins: Chaudhuri et al. 2006, Xiao et al. 2008). `needed_lcs` uses the very formula that decides, so
rounding cannot come between the filter and the decision.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from streams.core.similarity.rouge import fmeasure, needed_lcs

LONGEST = 127
"""Lengths from here on share one entry of a row, and one code in a signature."""

_UNBOUNDED = 64  # more than a signature has bits: an entry that filters nothing
_NO_LIMIT = 2**31 - 1
_MOST_ROWS = 8192  # texts of thousands of different lengths must not fill the memory; rows are cheap to make again


@dataclass(frozen=True, slots=True)
class LengthBounds:
    """What a text of m tokens asks of its partners.

    shortest, longest   a partner's length is between these, ends included
    reach               one entry for each of its rarest elements that must be looked up: the most tokens a partner can
                        have that shares it but none of the rarer ones; at most LONGEST, which stands for all beyond
    below               for each partner length up to LONGEST, signatures must differ in fewer bits than this; 0 where
                        no partner of that length can be above the threshold
    array               the same, for whole arrays of partners
    """

    shortest: int
    longest: int
    reach: tuple[int, ...]
    below: bytes
    array: npt.NDArray[np.uint8]


class Bounds:
    """The rows of one threshold, made when first asked for."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._shortest: dict[int, int] = {}
        self._plain: dict[int, tuple[tuple[int, ...], bytes]] = {}
        self._rows: dict[tuple[int, int], LengthBounds] = {}

    def prefix(self, m: int) -> int:
        """How many of the rarest elements of a text of m tokens are listed: m - (least lcs with any partner) + 1.

        The least is asked for by the shortest partner above the threshold, which must be contained whole.
        """
        return m - self.shortest(m) + 1 if m else 0

    def shortest(self, m: int) -> int:
        """The fewest tokens a partner of a text of m tokens can have."""
        known = self._shortest.get(m)
        if known is None:
            known = max(1, int(self.threshold * m / (2 - self.threshold)) - 1)
            while known < m and fmeasure(known, m, known) <= self.threshold:
                known += 1
            self._shortest[m] = known
        return known

    def longest(self, m: int, lcs: int) -> int:
        """The most tokens a partner can have that shares `lcs` of m tokens."""
        if lcs * 2 >= _NO_LIMIT * self.threshold:
            return _NO_LIMIT
        known = max(lcs, int(2 * lcs / self.threshold - m) + 2)
        while known > lcs and fmeasure(lcs, m, known) <= self.threshold:
            known -= 1
        return known

    def row(self, m: int, unknown: int) -> LengthBounds:
        """What a text of m tokens, of which `unknown` elements occur in no kept text, asks of its partners."""
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
    """A table for `bytes.translate`: elements that no partner has are differences already spent."""
    return bytes(value if value == _UNBOUNDED else max(0, value - unknown) for value in range(256))
