"""The blocks of a text: paragraphs, list items, turns, headings, each with its span.

Blank lines part blocks, and so do single line breaks, except in hard-wrapped text: there a line goes on in the next if
it ends without a mark of punctuation and the next begins in lower case, or if the lines are about as long as one
another and some of them begin in lower case. Indented lines belong to the list item before them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from producers.documents.segments.plain import ends_well, is_clean
from producers.documents.segments.words import count_words

BlockKind = Literal["prose", "lead", "item", "labelled", "quoted", "heading", "other"]
"""`lead` ends with a colon; `labelled` is "Name: ..."; `quoted` is marked by ">"; `other` is not fit for a segment."""

_ITEM = re.compile(
    r"(?P<bullet>[-*+•–‣◦·▪●])\s+\S|(?P<number>(?:[Ss]tep\s+)?\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.):])\s+\S"
)
_LABEL = re.compile(r"(?P<label>[A-Z][\w.'’-]*(?: [\w.'’&-]+){0,4}):\s+\S")
_HEADING = re.compile(r"#{1,6} |=+ .* =+$|(?:CHAPTER|Chapter|PART|Part|BOOK|Book) [\dIVXLC]+\b[^.]*$")
_CONTENTS = re.compile(r"(?:\. ?){4,}\s*\d*$|\s\d{1,4}$")
_HEADING_WORDS = 12
_LONGEST_HEADING = 200  # characters
_LONGEST_LABELLED = 2_000
_WRAPPED = range(40, 121)  # characters of the longest line of hard-wrapped text


@dataclass(frozen=True)
class Block:
    """A block and its span; `marker` is that of an item, or the label of a labelled block."""

    start: int
    end: int
    kind: BlockKind
    marker: str = ""


def read_blocks(text: str) -> list[Block]:
    """The blocks of a text, in order."""
    return [_block(text, start, end) for paragraph in _paragraphs(text) for start, end in _joined(text, paragraph)]


def _paragraphs(text: str) -> Iterator[list[tuple[int, int]]]:
    """The lines between two blank ones, each as a span without the white space around it."""
    lines: list[tuple[int, int]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare:
            start = at + line.index(bare)
            lines.append((start, start + len(bare)))
        elif lines:
            yield lines
            lines = []
        at += len(line)
    if lines:
        yield lines


def _joined(text: str, lines: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans of what is one block in it."""
    longest = max(end - start for start, end in lines)
    full = [0.6 * longest <= end - start for start, end in lines[:-1]]
    lower = any(text[start].islower() for start, _ in lines[1:])
    wrapped = longest in _WRAPPED and lower and sum(full) * 10 >= 7 * len(full)
    blocks, before = [lines[0]], text[slice(*lines[0])]
    item = _ITEM.match(text, lines[0][0]) is not None  # whether the last block is one
    for start, end in lines[1:]:
        line = text[start:end]
        ended = ends_well(before) or before.endswith(":") or (len(before) < _LONGEST_HEADING and _HEADING.match(before))
        before = line
        indented = item and text[start - 1] in " \t"
        if not _marked(line) and (indented or (not ended and (line[0].islower() or wrapped))):
            blocks[-1] = blocks[-1][0], end
        else:
            blocks.append((start, end))
            item = _ITEM.match(text, start) is not None
    return blocks


def _marked(line: str) -> bool:
    return line[0] in ">#|" or _ITEM.match(line) is not None or _LABEL.match(line) is not None


def _block(text: str, start: int, end: int) -> Block:
    block = text[start:end]
    item = _ITEM.match(block)
    if item:
        return Block(start, end, "item", item["bullet"] or item["number"])
    label = _LABEL.match(block)
    if label and end - start < _LONGEST_LABELLED and is_clean(block):
        return Block(start, end, "labelled", label["label"])
    return Block(start, end, _kind(block))


def _kind(block: str) -> BlockKind:
    kind: BlockKind = "prose"
    if block[0] == ">":
        kind = "quoted"
    elif len(block) < _LONGEST_HEADING and _HEADING.match(block):
        kind = "heading"
    elif block.endswith(":"):
        kind = "lead"
    elif not ends_well(block):
        if _CONTENTS.search(block, max(0, len(block) - 24)):
            kind = "other"
        elif count_words(block) <= _HEADING_WORDS:
            kind = "heading"
    return kind
