"""Items of a numbered or bulleted list, as models write it, whole with the lists that stand inside of them.

A line starts an item when it bears a number (`4.`, `4)`, `(4)`, `4\\.`, `4、`, `### 4.`, `**4.**`, `Task 4:`), or, when
none does, a bullet. It starts none when it is indented further than the first item, or when its number goes back while
a later one goes on: then it is of a list inside an item.
"""

import re
from dataclasses import dataclass

from schemas.events import Unparsed
from streams.core.parse import list_items

_NUMBERED = re.compile(
    r"^(?P<indent>[ \t]*)(?:#{1,6}[ \t]*)?\*{0,2}(?:(?:task|instruction)[ \t]*#?)?"
    r"(?:\((?P<bracketed>[0-9]{1,4})\)\*{0,2}[.:]?|(?P<number>[0-9]{1,4})\s?\\?(?:[.):、．）]|\s-))\*{0,2}"
    r"(?:[ \t]+|$|(?<=[、．）]))\**(?:instruction[ \t]?:[ \t]*)?",
    re.MULTILINE | re.IGNORECASE,
)
_BULLET = re.compile(r"^(?P<indent>[ \t]*)[-*•][ \t]+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|_{3,}|={3,}|#{3,}|```+\w*)[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_MARKS = {"**": "**", '"': '"', "“": "”", "`": "`"}


@dataclass(frozen=True)
class _Start:
    """Where an item's line begins, where its text does; no number for a bullet."""

    begin: int
    end: int
    indent: int
    number: int | None


def parse_items(raw: str, *, first_number: int, cut: bool) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    """Read the items; as `streams.core.parse.parse_list`, whose items a list inside of them broke apart.

    A single line before the first number is an item too when that number is beyond `first_number`. Of a `cut` answer
    the last item is left unparsed.
    """
    raw = _RULE.sub("", raw)
    starts = _starts(raw)
    head = raw[: starts[0].begin] if starts else raw
    continues = bool(starts) and starts[0].number is not None and starts[0].number > first_number
    ends = [*(start.begin for start in starts[1:]), len(raw)]
    bodies = [raw[start.end : end] for start, end in zip(starts, ends, strict=False)]
    return list_items(head, bodies, continues=continues, cut=cut, split=_item, marks=_MARKS)


def _starts(raw: str) -> list[_Start]:
    found = [_start(match, int(match["number"] or match["bracketed"])) for match in _NUMBERED.finditer(raw)]
    found = found or [_start(match, None) for match in _BULLET.finditer(raw)]
    if not found:
        return []
    outer = [start for start in found if start.indent <= found[0].indent + 1]
    starts: list[_Start] = []
    last: int | None = None
    for place, start in enumerate(outer):
        if last is not None and start.number is not None and start.number <= last:
            following = {other.number for other in outer[place + 1 :]}
            if last + 1 in following and start.number != last:
                continue
        starts.append(start)
        last = start.number
    return starts


def _start(match: re.Match[str], number: int | None) -> _Start:
    return _Start(match.start(), match.end(), len(match["indent"].expandtabs()), number)


def _item(text: str) -> tuple[str, str]:
    """An item's own text and what follows it: the first paragraph, with the lists right after it."""
    parts = _PARAGRAPH.split(text)
    taken = 1
    while taken < len(parts) and (_NUMBERED.match(parts[taken]) or _BULLET.match(parts[taken])):
        taken += 1
    return "\n".join(parts[:taken]), "\n\n".join(parts[taken:])
