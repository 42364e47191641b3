"""The length of a text in words, and the kind of its first character, in any script.

In scripts with spaces, words are counted. Chinese, Japanese, Thai, Lao, Khmer and Burmese have no spaces, and a
segmentation dictionary would differ between versions, while decisions must be reproducible. There letters are counted
and divided by the letters per English word in translation, measured on the first article of the Universal Declaration
of Human Rights, 30 words in English (`tests/unit/core/test_scripts.py`).
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
    """The number of words of a text; a letter of a script without spaces counts as a fraction of a word."""
    if text.isascii():
        return len(text.split())
    letters = sum(len(_base_letters(found.findall(text))) / count for found, count in _LETTERS)
    if not letters:
        return len(text.split())
    spaced = [word for word in _SPACELESS.sub(" ", text).split() if any(map(str.isalnum, word))]
    return len(spaced) + letters


def begins_with(text: str) -> Literal["text", "punctuation", "other"]:
    """The kind of the first visible character: "text" for a letter, digit, ¿ or ¡; "punctuation" for other punctuation;
    "other" for a symbol, a control character or none."""
    first = next((c for c in text if unicodedata.category(c) != "Cf"), "")
    if not first:
        return "other"
    kind = unicodedata.category(first)[0]
    if kind in "LN" or first in _OPENS_A_SENTENCE:
        return "text"
    return "punctuation" if kind == "P" else "other"


def share_of_other_letters(texts: Iterable[str]) -> float:
    """The share of the letters of all texts that are not ASCII, from 0 to 1."""
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return sum(not letter.isascii() for letter in letters) / max(1, len(letters))


def _base_letters(found: list[str]) -> list[str]:
    """The letters without combining vowel signs and tone marks."""
    return [letter for letter in found if unicodedata.category(letter)[0] != "M"]
