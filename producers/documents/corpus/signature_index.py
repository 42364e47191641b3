"""MinHash signatures, and the most similar one to another by locality-sensitive hashing (LSH).

A signature's values are cut into bands. Two signatures with an equal band are compared. Each band has a hash table
whose slots begin chains of signatures, latest first. All of it lies in arrays, since there is a signature a document.
"""

import numpy as np
from numpy.typing import NDArray

from producers.documents.corpus.measured_text import PERMUTATIONS

BANDS = 20  # of 6 values: a pair of similarity 0.8 has an equal one with probability 0.997, one of 0.5 with 0.27
_VALUES = PERMUTATIONS // BANDS
_FIRST_BITS = 12
_LONGEST_CHAIN = 200  # that is followed: texts of one mould share bands by the thousand
_COLUMNS = np.arange(BANDS)
_FACTORS = np.array([0x9E3779B97F4A7C15 * (2 * n + 1) % 2**64 for n in range(1, _VALUES + 1)], dtype=np.uint64)

Signature = NDArray[np.uint16]


class SignatureIndex:
    """Signatures by number, in the order in which they were added."""

    def __init__(self) -> None:
        self._size = 0
        self._bits = _FIRST_BITS
        self._rows = np.zeros((1 << self._bits, PERMUTATIONS), dtype=np.uint16)
        self._next = np.zeros((1 << self._bits, BANDS), dtype=np.int32)  # number + 1; 0: the chain ends
        self._heads = np.zeros((BANDS, 1 << self._bits), dtype=np.int32)  # the same

    def __len__(self) -> int:
        return self._size

    def add(self, signature: Signature) -> int:
        """Returns the signature's number."""
        if self._size == len(self._rows):
            self._grow()
        number, slots = self._size, self._slots(signature.reshape(BANDS, _VALUES))
        self._rows[number] = signature
        self._next[number] = self._heads[_COLUMNS, slots]
        self._heads[_COLUMNS, slots] = number + 1
        self._size += 1
        return number

    def most_similar(self, signature: Signature) -> tuple[int, float] | None:
        """(number, share of equal values) of the most similar signature with an equal band; of several, the first."""
        numbers = self._candidates(self._slots(signature.reshape(BANDS, _VALUES)))
        if not len(numbers):
            return None
        equal = self._rows[numbers] == signature
        similarities = equal.mean(axis=1)
        similarities[~equal.reshape(-1, BANDS, _VALUES).all(axis=2).any(axis=1)] = 0.0
        best = int(similarities.argmax())
        return (int(numbers[best]), float(similarities[best])) if similarities[best] else None

    def _candidates(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers, ascending, of the signatures in these slots, one slot a band."""
        found = []
        columns, at = _COLUMNS, self._heads[_COLUMNS, slots]
        for _ in range(_LONGEST_CHAIN):
            there = at > 0
            if not there.any():
                break
            columns, at = columns[there], at[there]
            found.append(at)
            at = self._next[at - 1, columns]
        if not found:
            return np.empty(0, dtype=np.int64)
        numbers: NDArray[np.int64] = np.unique(np.concatenate(found)).astype(np.int64)
        return numbers - 1

    def _slots(self, bands: Signature) -> NDArray[np.int64]:
        """Slots of bands, [..., _VALUES] to [...]."""
        mixed = (bands.astype(np.uint64) * _FACTORS).sum(axis=-1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        slots: NDArray[np.int64] = (mixed >> np.uint64(64 - self._bits)).astype(np.int64)
        return slots

    def _grow(self) -> None:
        """Twice the space. Chains stay in their order: latest first."""
        self._bits += 1
        size = self._size
        rows = np.zeros((1 << self._bits, PERMUTATIONS), dtype=np.uint16)
        rows[:size] = self._rows
        self._rows = rows
        self._next = np.zeros((1 << self._bits, BANDS), dtype=np.int32)
        self._heads = np.zeros((BANDS, 1 << self._bits), dtype=np.int32)
        for band in range(BANDS):
            slots = self._slots(rows[:size, band * _VALUES : (band + 1) * _VALUES])
            order = np.argsort(slots, kind="stable")
            same = slots[order][1:] == slots[order][:-1]
            self._next[order[1:][same], band] = order[:-1][same] + 1
            last = order[np.append(~same, True)]
            self._heads[band, slots[last]] = last + 1
