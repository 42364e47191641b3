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
_TRAILING = re.compile(r"(?<![ \t])[ \t]++(?=\n)")
_BLANK_LINES = re.compile(r"\n{3,}")
_MARKS = 30  # combining marks in a row, as in the Stream-Safe Text Format of Unicode: more are costly to put in order
_MANY_MARKS = re.compile(rf"[^\x00-\x7f\w\s]{{{_MARKS + 1},}}")
_JOINER = "\u034f"


def cleaned(text: str) -> str:
    """The text in NFC, with `\\n` as line ends and no more than one blank line in a row; tokenised text restored.

    After each 30 combining marks in a row there is a grapheme joiner, which is not seen.
    """
    text = _LINE_ENDS.sub("\n", text)
    if _TRANSLATE.search(text):
        text = text.translate(_TRANSLATED)
    text = _SURROGATES.sub("\ufffd", text)
    text = _with_joiners(unicodedata.normalize("NFC", _with_joiners(detokenised(text))))
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text)).strip("\n").rstrip()


def _with_joiners(text: str) -> str:
    def joined(found: re.Match[str]) -> str:
        parts: list[str] = []
        marks = 0
        for character in found[0]:
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks > _MARKS:
                parts.append(_JOINER)
                marks = 1
            parts.append(character)
        return "".join(parts)

    return _MANY_MARKS.sub(joined, text)
