"""A text with what several measures of it need, each computed once and when it is first asked for."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 120
_SEED = 20230313
_WORDS = re.compile(r"\w+")
_RUN = 5
_LONG_WORD = 20  # characters a word on average, from which on there are no spaces between words


@dataclass(frozen=True)
class MeasuredText:
    """A cleaned text."""

    text: str

    @cached_property
    def lower(self) -> str:
        return self.text.casefold()

    @cached_property
    def lines(self) -> list[str]:
        """Those that are not blank."""
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def runs(self) -> list[str]:
        """Each run of five words; of a shorter text, all of it. Without spaces between words, of five characters."""
        words = _WORDS.findall(self.lower)
        between = " "
        if sum(map(len, words)) > _LONG_WORD * len(words):
            words, between = list("".join(words)), ""
        if len(words) < _RUN:
            return [between.join(words)]
        return list(map(between.join, zip(*(words[at:] for at in range(_RUN)), strict=False)))

    @cached_property
    def different_runs(self) -> int:
        """How many of the runs are different."""
        return len(set(self.runs))

    @cached_property
    def digest(self) -> bytes:
        """Of the words, whatever their case and spaces; 16 bytes."""
        return hashlib.blake2b(" ".join(self.lower.split()).encode(), digest_size=16).digest()

    @cached_property
    def signature(self) -> NDArray[np.uint16]:
        """MinHash of the set of runs, the lower halves of the values, [PERMUTATIONS].

        Two values that differ have the same lower half once in 65,536 times, which is far below what 120 values tell.
        """
        import rensa

        found = rensa.RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        found.update(self.runs)
        return np.array(found.digest(), dtype=np.uint32).astype(np.uint16)
