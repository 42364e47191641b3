"""The tokenizers of the similarity.

`rouge_tokens` equals the default tokenizer of rouge_score 0.1.2 without stemmer: lower case, then each run of ASCII
letters and digits. A text in another script has no tokens, and so is similar to nothing.

`unicode_tokens` is for every language: compatibility forms (NFKC) and case are folded; a token is a run of letters and
digits with their combining marks; in scripts without spaces (Han, Kana, Thai, Lao, Khmer, Burmese) each letter with its
marks is a token. There is no dictionary, so it finds no words there. On ASCII text both agree.
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
# Applied after `_Letters`: whatever is neither letter, digit nor white space is a combining mark then.
_UNICODE_TOKEN = re.compile(rf"[{SPACELESS}][^\w\s]*|(?:[^\W_{SPACELESS}][^\w\s]*)+")


class _Letters(dict[int, str]):
    """A lazily filled table for `str.translate`: letters, digits and marks are kept, others become a space."""

    def __missing__(self, codepoint: int) -> str:
        character = chr(codepoint)
        kept = character if unicodedata.category(character)[0] in "LNM" else " "
        self[codepoint] = kept
        return kept


_LETTERS = _Letters()


def rouge_tokens(text: str) -> list[str]:
    """The tokens of rouge_score 0.1.2 without stemmer."""
    return _ASCII_RUN.findall(text.lower())


def unicode_tokens(text: str) -> list[str]:
    """Letters and digits of every script, case and compatibility forms folded."""
    if text.isascii():
        return _ASCII_RUN.findall(text.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _UNICODE_TOKEN.findall(folded.translate(_LETTERS))


_BY_NAME: dict[str, Tokenizer] = {"rouge": rouge_tokens, "unicode": unicode_tokens}


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer with this name. Raises ConfigurationError for an unknown one."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ConfigurationError(f"tokenizer is {name!r}; choose one of {', '.join(_BY_NAME)}.") from None
