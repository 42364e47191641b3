"""Texts to tokens, as the similarity sees them.

`rouge_tokens` gives what the default tokenizer of rouge_score 0.1.2 gives without its stemmer: lower case, then every
run of ASCII letters and digits. A text in another script has no tokens there, and so is similar to nothing.

`unicode_tokens` is for every language: compatibility forms are folded (NFKC) and so is case; a token is a run of
letters and digits with their combining marks; in scripts that are written without spaces (Han, Kana, Thai, Lao, Khmer,
Burmese) each letter with its marks is a token of its own. On ASCII text the two agree. It knows no dictionary: it does
not find the words of such a script, only its letters.
"""

import re
import unicodedata
from collections.abc import Callable

from schemas.errors import ConfigurationError

Tokenizer = Callable[[str], list[str]]

_ASCII_RUN = re.compile("[a-z0-9]+")
SOUTHEAST_ASIAN = (
    "\u0e01-\u0e5b"  # Thai
    "\u0e81-\u0edf"  # Lao
    "\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
)
KANA = "\u3005-\u3007\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana, and ideographic marks
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SPACELESS = SOUTHEAST_ASIAN + KANA + HAN
# Read after `_Letters`: what is neither a letter or digit nor white space can only be a combining mark by then.
_UNICODE_TOKEN = re.compile(rf"[{SPACELESS}][^\w\s]*|(?:[^\W_{SPACELESS}][^\w\s]*)+")


class _Letters(dict[int, str]):
    """A table for `str.translate`, filled as characters are met: letters, digits and marks stay, others part tokens."""

    def __missing__(self, codepoint: int) -> str:
        character = chr(codepoint)
        kept = character if unicodedata.category(character)[0] in "LNM" else " "
        self[codepoint] = kept
        return kept


_LETTERS = _Letters()


def rouge_tokens(text: str) -> list[str]:
    """The tokens rouge_score 0.1.2 makes of the text without a stemmer."""
    return _ASCII_RUN.findall(text.lower())


def unicode_tokens(text: str) -> list[str]:
    """Letters and digits of every script, case and compatibility forms folded."""
    if text.isascii():
        return _ASCII_RUN.findall(text.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _UNICODE_TOKEN.findall(folded.translate(_LETTERS))


_BY_NAME: dict[str, Tokenizer] = {"rouge": rouge_tokens, "unicode": unicode_tokens}


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer a run's policy names; raises ConfigurationError for a name that is not known."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ConfigurationError(f"tokenizer is {name!r}; choose one of {', '.join(_BY_NAME)}.") from None
