"""Which text has been there before, exactly or nearly.

Exactly: its words, whatever their case and spaces. Nearly: the Jaccard similarity of the sets of five-word runs, as
estimated by MinHash; candidates come from locality-sensitive hashing (LSH), and their signatures are compared. In a
text without spaces between words, runs of five characters take the words' place.

Held are signatures of used texts, no texts.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.documents.corpus.quality import Dropped

PERMUTATIONS = 120
BANDS = 20  # of 6 values each: a pair of similarity 0.8 is a candidate with probability 0.997, one of 0.5 with 0.27
_SEED = 20230313
_WORDS = re.compile(r"\w+")
_RUN = 5
_LONG_WORD = 20  # characters a word on average, from which on there are no spaces between words


@dataclass(frozen=True)
class Fingerprint:
    """What duplicates of a text are found by."""

    text: str

    @cached_property
    def digest(self) -> bytes:
        """Of the text's words, 16 bytes."""
        return hashlib.blake2b(" ".join(self.text.casefold().split()).encode(), digest_size=16).digest()

    @cached_property
    def minhash(self) -> Any:
        """A rensa.RMinHash of the set of five-word runs."""
        import rensa

        found = rensa.RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        found.update(runs(self.text))
        return found

    @cached_property
    def signature(self) -> NDArray[np.uint32]:
        """The values of `minhash`, [PERMUTATIONS]."""
        return np.array(self.minhash.digest(), dtype=np.uint32)


def runs(text: str) -> Iterable[str]:
    """The runs of five words of a text; of a shorter one, all of it."""
    lower = text.casefold()
    words = _WORDS.findall(lower)
    between = " "
    if sum(map(len, words)) > _LONG_WORD * len(words):
        words, between = list("".join(words)), ""
    if len(words) < _RUN:
        return [between.join(words)]
    return map(between.join, zip(*(words[at:] for at in range(_RUN)), strict=False))


class DuplicateIndex:
    """The used texts so far, for finding duplicates of them. Its answers depend on the texts and their order alone.

    similarity   from which on a text is nearly another
    """

    def __init__(self, similarity: float) -> None:
        import rensa

        self._similarity = similarity
        self._lsh: Any = rensa.RMinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._ids: list[str] = []
        self._signatures: list[bytes] = []
        self._by_digest: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id: str, text: Fingerprint) -> None:
        """Remember a text that is used; nothing is held of one with the words of an earlier one."""
        number = len(self._ids)
        if self._by_digest.setdefault(text.digest, number) != number:
            return
        self._ids.append(id)
        self._signatures.append(text.signature.tobytes())
        self._lsh.insert(number, text.minhash)

    def duplicate(self, text: Fingerprint) -> Dropped | None:
        """Dropped as a duplicate, if a text with the same words was added."""
        number = self._by_digest.get(text.digest)
        return None if number is None else Dropped("duplicate", nearest_id=self._ids[number])

    def near_duplicate(self, text: Fingerprint) -> Dropped | None:
        """Dropped as a near-duplicate of the most similar text; of several, the first that was added."""
        numbers = sorted(self._lsh.query(text.minhash))
        if not numbers:
            return None
        rows = np.frombuffer(b"".join(self._signatures[number] for number in numbers), dtype=np.uint32)
        similarities = (rows.reshape(len(numbers), PERMUTATIONS) == text.signature).mean(axis=1)
        best = int(similarities.argmax())
        found = float(similarities[best])
        if found < self._similarity:
            return None
        return Dropped("near_duplicate", found, self._similarity, self._ids[numbers[best]])
