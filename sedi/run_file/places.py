"""Where each key of a TOML text stands: the line and column of a mistake, which `tomllib` does not give.

The text has been read by `tomllib` already, so it is valid, and only its tokens are walked: keys, strings, brackets and
comments. A table that is named more than once keeps its first place.
"""

import re
import tomllib
from dataclasses import dataclass

_BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_SCALAR = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'"
    r"|[^,\]}\n#]*",
    re.DOTALL,
)
_SYNTAX_PLACE = re.compile(r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)", re.DOTALL)

Path = tuple[str, ...]


@dataclass(frozen=True, order=True)
class TextPlace:
    """A line and a column, both from 1."""

    line: int
    column: int


def key_places(text: str) -> dict[Path, TextPlace]:
    """The place of each key and table of a valid TOML text, by its path."""
    return _Scanner(text.replace("\r\n", "\n")).document()


def syntax_place(error: tomllib.TOMLDecodeError, text: str) -> tuple[TextPlace, str]:
    """Where a text stops being TOML, and what is wrong there."""
    found = _SYNTAX_PLACE.fullmatch(str(error))
    if found is not None:
        return TextPlace(int(found["line"]), int(found["column"])), found["what"]
    lines = text.split("\n")
    return TextPlace(len(lines), len(lines[-1]) + 1), str(error).removesuffix(" (at end of document)")


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._places: dict[Path, TextPlace] = {}

    def document(self) -> dict[Path, TextPlace]:
        table: Path = ()
        while self._skip(_BLANK) < len(self._text):
            if self._text[self._at] == "[":
                while self._text[self._at] == "[":
                    self._at += 1
                self._skip(_SPACE)
                table = self._key(())
                while self._at < len(self._text) and self._text[self._at] == "]":
                    self._at += 1
            else:
                self._key_and_value(table)
        return self._places

    def _key_and_value(self, table: Path) -> None:
        path = self._key(table)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self, table: Path) -> Path:
        """A key, dotted or not, with the blanks around it; each of its parts is placed."""
        path = table
        while True:
            part = _QUOTED_KEY.match(self._text, self._at) or _BARE_KEY.match(self._text, self._at)
            assert part is not None, "tomllib has read this text"
            name = part[0]
            if name[0] in "\"'":
                name = next(iter(tomllib.loads(f"{name} = 0")))
            path = (*path, name)
            self._places.setdefault(path, self._place(self._at))
            self._at = part.end()
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return path
            self._at += 1
            self._skip(_SPACE)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening not in "[{":
            self._skip(_SCALAR)
            return
        self._at += 1
        closing = "]" if opening == "[" else "}"
        while self._text[self._skip(_BLANK)] != closing:
            if opening == "[":
                self._value(path)
            else:
                self._key_and_value(path)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        assert found is not None, "tomllib has read this text"
        self._at = found.end()
        return self._at

    def _place(self, at: int) -> TextPlace:
        line_start = self._text.rfind("\n", 0, at) + 1
        return TextPlace(self._text.count("\n", 0, at) + 1, at - line_start + 1)
