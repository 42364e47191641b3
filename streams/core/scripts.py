"""How long a text is, and what it begins with, in any script.

Where words are parted by spaces, they are counted. Chinese, Japanese, Thai, Lao, Khmer and Burmese do not part them,
and to find their words takes a dictionary that differs from version to version, which a decision that must come out
the same for ever cannot rest on. There the letters are counted, and so many of them as make up an English word in
translation count as one: measured on the first article of the Universal Declaration of Human Rights, 30 words in
English (`tests/unit/core/test_scripts.py`).
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from streams.core.similarity.tokenize import HAN, KANA, SOUTHEAST_ASIAN, SPACELESS

_LETTERS_A_WORD = ((HAN, 1.5), (KANA, 3.0), (SOUTHEAST_ASIAN, 4.0))
_LETTERS = [(re.compile(f"[{letters}]"), count) for letters, count in _LETTERS_A_WORD]
_SPACELESS = re.compile(f"[{SPACELESS}]")
_OPENS_A_SENTENCE = "¿¡"


def count_words(text: str) -> float:
    """Words of a text; with letters of a script that does not part its words, a fraction of them each."""
    if text.isascii():
        return len(text.split())
    letters = sum(len(_base_letters(found.findall(text))) / count for found, count in _LETTERS)
    if not letters:
        return len(text.split())
    spaced = [word for word in _SPACELESS.sub(" ", text).split() if any(map(str.isalnum, word))]
    return len(spaced) + letters


def begins_with(text: str) -> Literal["text", "punctuation", "other"]:
    """What the first character is that is to be seen: a letter, digit or mark of the beginning of a sentence (¿, ¡);
    other punctuation; or a symbol, a control character or nothing."""
    first = next((c for c in text if unicodedata.category(c) != "Cf"), "")
    if not first:
        return "other"
    kind = unicodedata.category(first)[0]
    if kind in "LN" or first in _OPENS_A_SENTENCE:
        return "text"
    return "punctuation" if kind == "P" else "other"


def share_of_other_letters(texts: Iterable[str]) -> float:
    """How many of the letters of all texts are not ASCII, from 0 to 1."""
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return sum(not letter.isascii() for letter in letters) / max(1, len(letters))


def _base_letters(found: list[str]) -> list[str]:
    """Without the vowel signs and tone marks that stand on a letter."""
    return [letter for letter in found if unicodedata.category(letter)[0] != "M"]
