"""Numbers for tokens, and a rarity order of the elements of texts.

A text's *elements* are its tokens with the occurrence in the text (first, second, ...). So the overlap of two texts as
sets of elements is their overlap as bags of tokens, which bounds their common subsequence.

The order is by frequency classes, each four times as wide as the one before; within a class the later element counts as
rarer. It is total, and an element moves only on reaching the next class, which `count` reports: then only the lists of
that element are updated. So there is never a full rebuild, and the order lags behind the true frequencies by a factor
of up to four.
"""

BITS = 56
"""Bits of a signature; the rest of a 63-bit number holds the length."""

WIDE_WORDS = 8
"""64-bit words of a wide signature, for long texts."""

_CLASS_WIDTH = 4
_CLASS_STEP = 1 << 40  # more than there are elements, so classes never overlap in the order
_GOLDEN = 0x9E3779B97F4A7C15  # Fibonacci hashing: consecutive numbers get distant bits
_64_BITS = (1 << 64) - 1
_LAST_CHARACTER = 0x10FFFF
_NARROW = [1 << bit for bit in range(BITS)]  # shared by all elements, which hold a reference each
_WIDE = [1 << bit for bit in range(64 * WIDE_WORDS)]

Encoded = str | list[int]
"""A text with one character per token, or as numbers once the vocabulary exceeds Unicode."""


class Vocabulary:
    """Elements by number. Number 0 is every unknown token.

    order       sort key by element: smaller is rarer
    frequency   the number of texts with the element
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}  # token -> the element of its first occurrence in a text
        self._repeats: dict[tuple[int, int], int] = {}  # (that, which occurrence) -> element
        # By element:
        self.order: list[int] = [0]
        self.frequency: list[int] = [0]
        self._bit: list[int] = [0]
        self._wide_bit: list[int] = [0]
        self._due: list[int] = [0]
        # Characters have their own numbers, without gaps, so that the most frequent tokens are below 256, which
        # rapidfuzz compares fastest.
        self._character: list[int] = [0]  # by element; 0 for repeats
        self._token: list[int] = [0]  # the element, by character

    def codes(self, tokens: list[str]) -> list[int]:
        """Each token's element, without its occurrence; 0 for an unknown token."""
        get = self._codes.get
        return [get(token, 0) for token in tokens]

    def known_elements(self, codes: list[int]) -> list[int]:
        """The elements of a text that occur in a learnt text, in no particular order."""
        known = [code for code in codes if code] if 0 in codes else codes
        if len(set(known)) == len(known):
            return known
        found = []
        seen: dict[int, int] = {}
        for code in known:
            occurrence = seen[code] = seen.get(code, -1) + 1
            element = self._repeats.get((code, occurrence)) if occurrence else code
            if element is not None:
                found.append(element)
        return found

    def learn(self, tokens: list[str]) -> list[int]:
        """As `codes`, but unknown tokens and repeats get a number."""
        table = self._codes
        codes = []
        for token in tokens:
            code = table.get(token)
            if code is None:
                code = table[token] = self._new()
                self._character[code] = len(self._token)
                self._token.append(code)
            codes.append(code)
        if len(set(codes)) < len(codes):
            seen: dict[int, int] = {}
            for code in codes:
                occurrence = seen[code] = seen.get(code, -1) + 1
                if occurrence and (code, occurrence) not in self._repeats:
                    self._repeats[code, occurrence] = self._new()
        return codes

    def _new(self) -> int:
        element = len(self.order)
        self.order.append(-element)
        self.frequency.append(0)
        spread = element * _GOLDEN & _64_BITS
        self._bit.append(_NARROW[spread * BITS >> 64])
        self._wide_bit.append(_WIDE[spread * 64 * WIDE_WORDS >> 64])
        self._due.append(_CLASS_WIDTH)
        self._character.append(0)
        return element

    def count(self, elements: list[int]) -> list[int]:
        """Count a text's elements; returns those that have reached the next frequency class."""
        frequency, due = self.frequency, self._due
        ending = []
        for element in elements:
            frequency[element] += 1
            if frequency[element] >= due[element]:
                due[element] *= _CLASS_WIDTH
                ending.append(element)
        return ending

    def move(self, element: int) -> None:
        """Move the element to the class of its frequency."""
        self.order[element] = (self._due[element] // _CLASS_WIDTH) * _CLASS_STEP - element

    def signature(self, elements: list[int]) -> int:
        """A bit set of the elements: two texts differ in at least as many elements as their signatures in bits."""
        bit = self._bit
        bits = 0
        for element in elements:
            bits |= bit[element]
        return bits

    def wide_signature(self, elements: list[int]) -> bytes:
        """The same with more bits, as little-endian words."""
        bit = self._wide_bit
        bits = 0
        for element in elements:
            bits |= bit[element]
        return bits.to_bytes(8 * WIDE_WORDS, "little")

    def encode(self, codes: list[int]) -> Encoded:
        """One character per token, or the equivalent numbers for rapidfuzz if there are not enough characters."""
        character = self._character
        numbers = [character[code] for code in codes]
        if numbers and max(numbers) > _LAST_CHARACTER:
            return numbers
        return "".join(map(chr, numbers))

    def decode(self, text: Encoded) -> list[int]:
        """The inverse of `encode`, for known codes."""
        token = self._token
        return [token[number] for number in (map(ord, text) if isinstance(text, str) else text)]
