"""Parses a numbered or bulleted list of instructions, for the `two-step` and `self-instruct` styles.

`parse_list` is version 1 of the parser. `parse_items`, version 2, keeps nested lists inside their items: a line starts
an item when it has a number (`4.`, `4)`, `(4)`, `4\\.`, `4、`, `### 4.`, `**4.**`, `Task 4:`), or, when none has,
a bullet. A line that is indented further than the first item, or whose number goes back while a later one continues the
outer list, belongs to a nested list.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schemas.events import Unparsed
from streams.core.parse.leftover import Items, leave

_ITEM = re.compile(r"^[ \t]*\*{0,2}(?P<number>[0-9]{1,4})\s?[.):]\*{0,2}(?:[ \t]+|$)", re.MULTILINE)
_BULLET_ITEM = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)
_ITEM_MARKS = {"**": "**", '"': '"', "“": "”"}
_NUMBERED = re.compile(
    r"^(?P<indent>[ \t]*)(?:#{1,6}[ \t]*)?\*{0,2}(?:(?:task|instruction)[ \t]*#?)?"
    r"(?:\((?P<bracketed>[0-9]{1,4})\)\*{0,2}[.:]?|(?P<number>[0-9]{1,4})\s?\\?(?:[.):、．）]|\s-))\*{0,2}"
    r"(?:[ \t]+|$|(?<=[、．）]))\**(?:instruction[ \t]?:[ \t]*)?",
    re.MULTILINE | re.IGNORECASE,
)
_BULLET = re.compile(r"^(?P<indent>[ \t]*)[-*•][ \t]+", re.MULTILINE)
_RULE = re.compile(
    r"^[ \t]*+(?:(?:-[ \t]*+){3,}+|(?:\*[ \t]*+){3,}+|_{3,}+|={3,}+|#{3,}+|```++\w*+)[ \t]*+$", re.MULTILINE
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_MARKS = {"**": "**", '"': '"', "“": "”", "`": "`"}


@dataclass(frozen=True)
class _Start:
    """The start of an item's line and of its text; no number for a bullet."""

    begin: int
    end: int
    indent: int
    number: int | None


def parse_list(raw: str, *, first_number: int, cut: bool) -> Items:
    """Parse the items of a numbered list, or of a bulleted one if no line is numbered.

    White space within an item is collapsed, and marks around a whole item (`**`, quotes) are removed. A single line
    before the first number is an item too if that number is greater than `first_number`: the answer continues a prompt
    that ended with `<first_number>.` Of a `cut` answer the last item is left unparsed.
    """
    matches = list(_ITEM.finditer(raw)) or list(_BULLET_ITEM.finditer(raw))
    head = raw[: matches[0].start()] if matches else raw
    number = matches[0].groupdict().get("number") if matches else None
    continues = number is not None and int(number) > first_number
    ends = [*(match.start() for match in matches[1:]), len(raw)]
    bodies = [raw[match.end() : end] for match, end in zip(matches, ends, strict=False)]
    return _list_items(head, bodies, continues=continues, cut=cut, split=_first_paragraph, marks=_ITEM_MARKS)


def parse_items(raw: str, *, first_number: int, cut: bool) -> Items:
    """Parse the items, as `parse_list`, with nested lists inside their items."""
    raw = _RULE.sub("", raw)
    starts = _starts(raw)
    head = raw[: starts[0].begin] if starts else raw
    continues = bool(starts) and starts[0].number is not None and starts[0].number > first_number
    ends = [*(start.begin for start in starts[1:]), len(raw)]
    bodies = [raw[start.end : end] for start, end in zip(starts, ends, strict=False)]
    return _list_items(head, bodies, continues=continues, cut=cut, split=_item, marks=_MARKS)


def _list_items(
    head: str,
    bodies: Sequence[str],
    *,
    continues: bool,
    cut: bool,
    split: Callable[[str], tuple[str, str]],
    marks: Mapping[str, str],
) -> Items:
    """The items of a list and the unparsed rest, from the text before its first mark and after each.

    continues   whether a `head` of a single line is an item too
    split       splits a text into the item and the rest
    marks       opening and closing marks around a whole item, which are removed
    """
    items: list[str] = []
    unparsed: list[Unparsed] = []
    texts = [(head, continues and len(head.strip().splitlines()) == 1), *((body, True) for body in bodies)]
    for place, (text, is_item) in enumerate(texts):
        if cut and place == len(texts) - 1:
            leave(unparsed, "cut", text)
        elif not is_item:
            leave(unparsed, "no_number", text)
        else:
            first, rest = split(text.strip())
            item = _bare(" ".join(first.split()), marks)
            if item:
                items.append(item)
            leave(unparsed, "no_number", rest)
    return tuple(items), tuple(unparsed)


def _first_paragraph(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n\n")
    return first, rest


def _bare(text: str, marks: Mapping[str, str]) -> str:
    for opening, closing in marks.items():
        inside = text[len(opening) : -len(closing)]
        whole = text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing)
        if whole and opening not in inside:
            text = inside.strip()
    return text


def _starts(raw: str) -> list[_Start]:
    found = [_start(match, int(match["number"] or match["bracketed"])) for match in _NUMBERED.finditer(raw)]
    found = found or [_start(match, None) for match in _BULLET.finditer(raw)]
    if not found:
        return []
    outer = [start for start in found if start.indent <= found[0].indent + 1]
    starts: list[_Start] = []
    last: int | None = None
    last_of = {start.number: place for place, start in enumerate(outer)}
    for place, start in enumerate(outer):
        goes_back = last is not None and start.number is not None and start.number < last
        if goes_back and last_of.get((last or 0) + 1, -1) > place:
            continue
        starts.append(start)
        last = start.number
    return starts


def _start(match: re.Match[str], number: int | None) -> _Start:
    return _Start(match.start(), match.end(), len(match["indent"].expandtabs()), number)


def _item(text: str) -> tuple[str, str]:
    """An item and the rest: the item is the first paragraph with the lists right after it."""
    parts = _PARAGRAPH.split(text)
    taken = 1
    while taken < len(parts) and (_NUMBERED.match(parts[taken]) or _BULLET.match(parts[taken])):
        taken += 1
    return "\n".join(parts[:taken]), "\n\n".join(parts[taken:])
