"""The similarity index in Python: the reference, which the compiled one equals (`native`).

Scores and decisions are rouge_score's (`rougeL`, no stemmer), bit for bit. It compares few texts:

1. Two texts with F above θ share one of the rarest few elements of each (`bounds`). So each text is listed under its
   rarest elements, and only the lists of the new text's rarest elements are read.
2. A candidate's length must fit, and its signature, a 56-bit set of its elements, may differ from the new text's in no
   more bits than the two may differ in elements. A few array operations check all candidates.
3. The rest, one to four of fifty thousand, is compared with rapidfuzz's bit-parallel LCS. If more are left of a longer
   text, a second signature of 512 bits is checked first.

The lists follow the rarity order as it changes, text by text (`vocabulary`), so there is never a rebuild or a
long pause. Where the lists have too many candidates (tiny vocabularies, long repetitive texts, θ near 0), all
signatures are scanned, and the rest is compared in one call of `cdist`.

Exact for every θ in [0, 1) and every order of calls; pure. It keeps tokens, not texts.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from streams.core.similarity.bounds import LONGEST, Bounds, LengthBounds
from streams.core.similarity.items import Position, check_new, checked, known, unknown
from streams.core.similarity.lists import InvertedLists, SlotList
from streams.core.similarity.rouge import fmeasure, fmeasures
from streams.core.similarity.tokenize import Tokenizer, rouge_tokens
from streams.core.similarity.vocabulary import BITS, WIDE_WORDS, Encoded, Vocabulary

Slots = npt.NDArray[np.int64]

_SIGNATURE = (1 << BITS) - 1
_FEW_NAMED = 32  # below this a loop is faster than array operations
_FEW_LEFT = 24  # below this single comparisons are faster than an array of them
_FULL = BITS * 7 // 8  # a signature with this many bits set filters too little to be worth comparing
_WIDE_FROM = 32  # shorter texts hardly fill a signature, and comparing them costs no more than a wide one
_TRIED = 128
_HARDLY_ANY_FAILS = 0.8
_SLACK = 1e-6  # far above rounding, far below one element
_BANDED_FROM = 512  # from this length on, individual score cutoffs save more than batching
_SCAN_SHARE = 0.5  # above this share of named slots, a sequential scan is cheaper than gathering
_LARGEST_MOVE = 80_000  # total tokens of a list's texts, above which moving it would block the caller
_PROGRESS_EVERY = 2000


class ReferenceIndex:
    """Texts by id, searchable for the nearest with ROUGE-L F above `threshold`.

    Raises ConfigurationError unless 0 <= threshold < 1.
    """

    def __init__(self, threshold: float, *, tokenizer: Tokenizer | None = None) -> None:
        self.threshold = checked(threshold)
        self._tokenize = tokenizer if tokenizer is not None else rouge_tokens
        self._bounds = Bounds(threshold)
        self._vocabulary = Vocabulary()
        self._slots: dict[str, int] = {}
        # By slot, in the order added:
        self._ids: list[str] = []
        self._texts: list[Encoded] = []
        self._lengths = array("i")
        self._lists = InvertedLists(self._lengths)
        self._signatures = array("q")
        self._wide_signatures = array("Q")  # WIDE_WORDS a slot
        self._offsets = array("q")
        self._places = array("q")
        self._last: Position = (-1, -1)

    def __getstate__(self) -> dict[str, Any]:
        """Without the bounds, which are cached for the threshold."""
        return {name: value for name, value in vars(self).items() if name != "_bounds"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bounds = Bounds(self.threshold)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, id: object) -> bool:
        return id in self._slots

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text; one without tokens is similar to nothing."""
        return self._tokenize(text)

    def add(self, id: str, text: str, position: Position | None = None) -> None:
        """Add a text at `position` of the log, by default right after the last. Raises SediError for a known id."""
        if position is None:
            position = (self._last[0], self._last[1] + 1)
        slot, elements = self._enter(id, text, position)
        self._list(slot, self._rarest_of(elements, self._lengths[slot]))

    def extend(
        self, items: Iterable[tuple[str, str, Position]], *, progress: Callable[[int], None] | None = None
    ) -> None:
        """Add many (id, text, position), faster than one by one: frequencies are known before lists are built.

        `progress` is called now and then with a number that rises to the number of items: half of it while they are
        read, half while they are listed. Raises SediError for a known id; the items before it are added.
        """
        slots: list[int] = []
        done = 0
        try:
            for id, text, position in items:
                slots.append(self._enter(id, text, position)[0])
                done += 1
                if progress is not None and done % _PROGRESS_EVERY == 0:
                    progress(done // 2)
        finally:
            for slot in slots:
                self._list(slot, self._rarest(slot))
                done += 1
                if progress is not None and (done % _PROGRESS_EVERY == 0 or done == 2 * len(slots)):
                    progress(done // 2)

    def remove(self, id: str) -> None:
        """Take a text out: from now on the index answers as if it had never been added. Raises SediError for an
        unknown id.

        Its slot stays, without a text: of no tokens, it is above no threshold. Frequencies keep counting it, which
        changes the order of elements, and no answer.
        """
        slot = self._slots.pop(id, None)
        if slot is None:
            raise unknown(id)
        for element in self._rarest(slot):
            self._lists.remove(element, slot)
        self._texts[slot] = ""
        self._lengths[slot] = self._signatures[slot] = 0

    def nearest_above(self, text: str, before: Position | None = None) -> tuple[float, str] | None:
        """(F, id) of the item with the highest F above the threshold, the earliest added on ties; None without any.

        `before` excludes items that are not at a smaller position.
        """
        vocabulary = self._vocabulary
        codes = vocabulary.codes(self._tokenize(text))
        elements = vocabulary.known_elements(codes)
        row = self._bounds.row(len(codes), len(codes) - len(elements))
        if not row.reach or not elements:
            return None
        signature = vocabulary.signature(elements)
        rarest = sorted(elements, key=vocabulary.order.__getitem__)[: len(row.reach)]
        named, lists = self._lists.read(rarest, row, max(_FEW_NAMED, _SCAN_SHARE * len(self._ids)))
        if named < _FEW_NAMED:
            signatures, below = self._signatures, row.below
            few = [
                slot
                for listed in lists
                for slot in listed
                if (((s := signatures[slot]) ^ signature) & _SIGNATURE).bit_count() < below[s >> BITS]
            ]
        else:
            fitting = self._fitting(lists, signature, row)
            if len(fitting) >= _FEW_LEFT and len(codes) > _WIDE_FROM:
                fitting = self._fitting_wide(fitting, len(codes), vocabulary.wide_signature(elements))
            if len(fitting) >= _FEW_LEFT and len(codes) <= _BANDED_FROM:
                return self._best_of_many(codes, fitting, before)
            few = fitting.tolist()
        return self._best_of_few(codes, few, before) if few else None

    def add_unless_similar(self, items: Sequence[tuple[str, str, Position]]) -> list[tuple[float, str] | None]:
        """`nearest_above` of each (id, text, position) in turn; an item without any is added before the next one.

        Raises SediError for a known id or one that comes twice; then nothing is added.
        """
        check_new(self, items)
        found: list[tuple[float, str] | None] = []
        try:
            for id, text, position in items:
                nearest = self.nearest_above(text)
                if nearest is None:
                    self.add(id, text, position)
                found.append(nearest)
        except Exception:
            for (id, _, _), nearest in zip(items, found, strict=False):
                if nearest is None:
                    self.remove(id)
            raise
        return found

    def _fitting(self, lists: list[SlotList], signature: int, row: LengthBounds) -> Slots:
        """The slots in the lists, or all without any, whose length and signature fit; if many, unique and sorted."""
        signatures = np.frombuffer(self._signatures, np.int64)
        if lists:
            named = np.frombuffer(b"".join(lists), np.uint32)
            signatures = signatures.take(named)
            differing = np.bitwise_count((signatures ^ signature) & _SIGNATURE)
            slots: npt.NDArray[Any] = named[differing < row.array.take(signatures >> BITS)]
            if len(slots) >= _FEW_LEFT:
                slots = np.unique(slots)
        elif signature.bit_count() < _FULL:
            differing = np.bitwise_count((signatures ^ signature) & _SIGNATURE)
            slots = (differing < row.array.take(signatures >> BITS)).nonzero()[0]
        else:
            slots = np.arange(len(signatures))
        if row.longest >= LONGEST and len(slots):  # one code in a signature for all such lengths
            lengths = np.frombuffer(self._lengths, np.int32)[slots]
            slots = slots[(lengths >= row.shortest) & (lengths <= row.longest)]
        return slots

    def _fitting_wide(self, slots: Slots, m: int, signature: bytes) -> Slots:
        """The slots whose wide signature fits too; all, if on a sample hardly any fails.

        F is above θ only if the two texts differ in fewer than (1 - θ)(m + n) elements.
        """
        words = np.frombuffer(self._wide_signatures, np.uint64).reshape(-1, WIDE_WORDS)
        lengths = np.frombuffer(self._lengths, np.int32)
        query = np.frombuffer(signature, np.uint64)

        def fits(some: Slots) -> npt.NDArray[np.bool_]:
            differing = np.bitwise_count(words[some] ^ query).sum(axis=1, dtype=np.int64)
            few_enough: npt.NDArray[np.bool_] = differing < (1 - self.threshold) * (m + lengths[some]) + _SLACK
            return few_enough

        if np.count_nonzero(fits(slots[:_TRIED])) > _HARDLY_ANY_FAILS * min(_TRIED, len(slots)):
            return slots
        return slots[fits(slots)]

    def _best_of_few(self, codes: list[int], slots: list[int], before: Position | None) -> tuple[float, str] | None:
        if before is not None and before <= self._last:
            offsets, places = self._offsets, self._places
            slots = [slot for slot in slots if (offsets[slot], places[slot]) < before]
        texts = self._texts
        query, m = self._vocabulary.encode(codes), len(codes)
        best, best_slot = self.threshold, -1
        for slot in slots:
            text = texts[slot]
            n = len(text)
            lcs = LCSseq.similarity(query, text, score_cutoff=int(best * (m + n) / 2))
            score = fmeasure(lcs, m, n)
            if score > best or (score == best and best_slot >= 0 and slot < best_slot):
                best, best_slot = score, slot
        return (best, self._ids[best_slot]) if best_slot >= 0 else None

    def _best_of_many(self, codes: list[int], slots: Slots, before: Position | None) -> tuple[float, str] | None:
        texts = self._texts
        if len(slots) * 2 > len(texts):  # comparing all is cheaper than selecting so many
            slots = np.arange(len(texts))
        else:
            texts = [texts[slot] for slot in slots.tolist()]
        query = self._vocabulary.encode(codes)
        lcs = process.cdist([query], texts, scorer=LCSseq.similarity, dtype=np.int32)[0]
        scores = fmeasures(lcs, len(codes), np.frombuffer(self._lengths, np.int32)[slots])
        if before is not None and before <= self._last:
            offsets = np.frombuffer(self._offsets, np.int64)[slots]
            places = np.frombuffer(self._places, np.int64)[slots]
            scores[(offsets > before[0]) | ((offsets == before[0]) & (places >= before[1]))] = 0.0
        best = float(scores.max())
        if best <= self.threshold:
            return None
        return best, self._ids[slots[scores == best].min()]

    def _enter(self, id: str, text: str, position: Position) -> tuple[int, list[int]]:
        """Store a text without listing it; returns its slot and its elements."""
        if id in self._slots:
            raise known(id)
        vocabulary = self._vocabulary
        codes = vocabulary.learn(self._tokenize(text))
        elements = vocabulary.known_elements(codes)
        slot = len(self._ids)
        self._ids.append(id)
        self._texts.append(vocabulary.encode(codes))
        self._lengths.append(len(codes))
        self._signatures.append(vocabulary.signature(elements) | min(len(codes), LONGEST) << BITS)
        self._wide_signatures.frombytes(vocabulary.wide_signature(elements))
        self._offsets.append(position[0])
        self._places.append(position[1])
        self._slots[id] = slot
        self._last = max(self._last, position)
        if ending := vocabulary.count(elements):
            self._move(ending)
        return slot, elements

    def _list(self, slot: int, elements: list[int]) -> None:
        for element in elements:
            self._lists.add(element, slot)

    def _rarest(self, slot: int) -> list[int]:
        """The elements under which the text in the slot is listed."""
        codes = self._vocabulary.decode(self._texts[slot])
        return self._rarest_of(self._vocabulary.known_elements(codes), len(codes))

    def _rarest_of(self, elements: list[int], length: int) -> list[int]:
        return sorted(elements, key=self._vocabulary.order.__getitem__)[: self._bounds.prefix(length)]

    def _move(self, elements: list[int]) -> None:
        """Move elements that became more frequent in the order, and update the lists of their texts.

        In a text's rarest elements the next rarest replace those that leave. All at once, since a long text may be
        under thousands of them.
        """
        moved = {element for element in elements if self._lists.tokens(element) <= _LARGEST_MOVE}
        taken: Counter[int] = Counter()
        for element in moved:
            self._vocabulary.move(element)
            taken.update(self._lists.take(element))
        for slot, count in taken.items():
            rarest = self._rarest(slot)
            under = [element for element in rarest if element in moved]
            others = [element for element in rarest if element not in moved]
            # Under these it is still listed, but for the last of them, as many as are missing.
            self._list(slot, under + others[len(others) + len(under) - count :])
