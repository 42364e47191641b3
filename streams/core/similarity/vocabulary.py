"""Tokens as numbers, and a rarity order of what texts are compared by.

A text is compared by its *elements*: a token, with its second, third, ... occurrence in the text told apart, so that
the overlap of two texts as sets of elements is their overlap as bags of tokens, which bounds their common subsequence.

The order is by classes of frequency, each four times as wide as the one before; within a class what was met later
counts as rarer. It is total, and an element moves in it only when it has reached the next class, which `count`
reports: the one who keeps lists by this order then mends those that the element is in and nothing else. So there is
never a full rebuild, at the cost of an order that lags behind the true frequencies by up to a factor of four.
"""

BITS = 56
"""Bits of a signature; the rest of a 63-bit number holds the length."""

WIDE_WORDS = 8
"""64-bit words of a wide signature, for texts that fill a narrow one."""

_CLASS_WIDTH = 4
_CLASS_STEP = 1 << 40  # more than there are elements, so classes never overlap in the order
_GOLDEN = 0x9E3779B97F4A7C15  # Fibonacci hashing: neighbours in number get bits far apart
_64_BITS = (1 << 64) - 1
_LAST_CHARACTER = 0x10FFFF
_NARROW = [1 << bit for bit in range(BITS)]  # shared by all elements, which hold a reference each
_WIDE = [1 << bit for bit in range(64 * WIDE_WORDS)]

Encoded = str | list[int]
"""A text as one character a token, or as numbers once the vocabulary has outgrown Unicode."""


class Vocabulary:
    """Elements by number. Number 0 stands for every token that was never learnt.

    order       sort key by element: smaller is rarer
    frequency   in how many texts the element occurs
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
        # Characters are numbered apart from elements, without gaps, so that the most frequent tokens get those
        # below 256, which rapidfuzz compares fastest.
        self._character: list[int] = [0]  # by element; 0 for repeats
        self._token: list[int] = [0]  # the element, by character

    def codes(self, tokens: list[str]) -> list[int]:
        """Each token's element, repeats not told apart; 0 where the token is unknown."""
        get = self._codes.get
        return [get(token, 0) for token in tokens]

    def known_elements(self, codes: list[int]) -> list[int]:
        """The elements of a text that some learnt text has had too, in no particular order."""
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
        """As `codes`, but what is unknown, repeats included, gets a number."""
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
        """Count one text more for each of its elements; returns those whose class of frequency ends with it."""
        frequency, due = self.frequency, self._due
        ending = []
        for element in elements:
            frequency[element] += 1
            if frequency[element] >= due[element]:
                due[element] *= _CLASS_WIDTH
                ending.append(element)
        return ending

    def uncount(self, elements: list[int]) -> None:
        """Count one text less. The order stays: it is a guess at rarity, and any order is right."""
        for element in elements:
            self.frequency[element] -= 1

    def move(self, element: int) -> None:
        """Put the element into the class its frequency is in."""
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
        """One character a token; the characters' numbers, which rapidfuzz takes for the same, where those run out."""
        character = self._character
        numbers = [character[code] for code in codes]
        if numbers and max(numbers) > _LAST_CHARACTER:
            return numbers
        return "".join(map(chr, numbers))

    def decode(self, text: Encoded) -> list[int]:
        """The codes that `encode` was given, where all were known."""
        token = self._token
        return [token[number] for number in (map(ord, text) if isinstance(text, str) else text)]
