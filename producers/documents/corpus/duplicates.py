"""Which text has been there before, exactly or nearly.

Exactly: its words, whatever their case and spaces. Nearly: the Jaccard similarity of the sets of five-word runs, as
estimated by MinHash. Held are digests and signatures of used texts, no texts.
"""

from uuid import UUID

from producers.documents.corpus.measured_text import MeasuredText
from producers.documents.corpus.quality import Dropped
from producers.documents.corpus.signature_index import SignatureIndex


class DuplicateIndex:
    """The used texts so far, for finding duplicates of them. Its answers depend on the texts and their order alone.

    similarity   from which on a text is nearly another
    """

    def __init__(self, similarity: float) -> None:
        self._similarity = similarity
        self._signatures = SignatureIndex()
        self._ids = bytearray()  # 16 bytes each
        self._by_digest: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._signatures)

    def add(self, id: str, text: MeasuredText) -> None:
        """Remember a text that is used; nothing is held of one with the words of an earlier one."""
        if self._by_digest.setdefault(text.digest, len(self)) == len(self):
            self._ids += UUID(id).bytes
            self._signatures.add(text.signature)

    def duplicate(self, text: MeasuredText) -> Dropped | None:
        """Dropped as a duplicate, if a text with the same words was added."""
        number = self._by_digest.get(text.digest)
        return None if number is None else Dropped("duplicate", nearest_id=self._id(number))

    def near_duplicate(self, text: MeasuredText) -> Dropped | None:
        """Dropped as a near-duplicate of the most similar text; of several, the first that was added."""
        found = self._signatures.most_similar(text.signature)
        if found is None or found[1] < self._similarity:
            return None
        number, similarity = found
        return Dropped("near_duplicate", similarity, self._similarity, self._id(number))

    def _id(self, number: int) -> str:
        return str(UUID(bytes=bytes(self._ids[16 * number : 16 * number + 16])))
