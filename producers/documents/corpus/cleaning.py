"""What every text goes through before it is measured: one form of Unicode, of line ends and of blank lines.

Words are neither added nor left out. `cleaned` of a cleaned text is that text.
"""

import re
import unicodedata

from producers.documents.corpus.wikitext import detokenised

_SPACES = "\u00a0\u2007\u202f\u3000"
_DROPPED = "\u00ad\u200b\u2060\ufeff\ufffe"  # soft hyphen, zero widths, byte order marks
_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_KEPT_CONTROLS = "\n\t"
_TRANSLATED: dict[int, str | None] = {
    **{code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT_CONTROLS},
    **dict.fromkeys(map(ord, _DROPPED + _DIRECTIONS)),
    **dict.fromkeys(map(ord, _SPACES), " "),
    ord("\x0b"): "\n",
    ord("\x0c"): "\n\n",
    ord("\x85"): "\n",
    ord("\u2028"): "\n",
    ord("\u2029"): "\n\n",
}
_TRANSLATE = re.compile(f"[{re.escape(''.join(map(chr, _TRANSLATED)))}]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n?")
_TRAILING = re.compile(r"[ \t]+(?=\n)")
_BLANK_LINES = re.compile(r"\n{3,}")


def cleaned(text: str) -> str:
    """The text in NFC, with `\\n` as line ends and no more than one blank line in a row; tokenised text restored."""
    text = _LINE_ENDS.sub("\n", text)
    if _TRANSLATE.search(text):
        text = text.translate(_TRANSLATED)
    text = _SURROGATES.sub("\ufffd", text)
    text = unicodedata.normalize("NFC", detokenised(text))
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text)).strip("\n").rstrip()
