"""Which tokens are computed together: a row is a tree of segments, so that a common prefix is computed once.

    solved examples ── question ── choice          a token sees the tokens before it in its own segment,
                   │           └── choice          and those of the segments from there to the root
                   └── question ── choice
                               └── choice

The last token of a continuation is only predicted and never an input: choices of one token (MMLU's letters) add none.
Without sharing, a row is one prefix with one continuation; those that differ in their last token alone are one row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from infra.models.likelihood.encoded import EncodedQuestion

LEAST_SHARED = 64
"""Tokens that questions must have in common to be in one row; it must also be half of each prompt."""

LONGEST_ROW = 1024
"""Tokens of a row of several questions: attention within a row grows with its square."""


@dataclass(frozen=True)
class PackedContinuation:
    """Where a continuation is read: the positions in the row that predict its tokens, and these tokens."""

    question: int
    choice: int
    positions: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass
class PackedRow:
    """A row of the model's input.

    tokens     [length]
    places     each token's position in its own text, [length]
    segments   each token's segment, [length]
    parents    each segment's parent; None for a root
    """

    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    parents: list[int | None] = field(default_factory=list)
    continuations: list[PackedContinuation] = field(default_factory=list)

    @property
    def is_chain(self) -> bool:
        """Whether every token sees all tokens before it."""
        return len(self.parents) == 1

    def add(self, tokens: Sequence[int], parent: int | None = None, place: int = 0) -> int:
        """Add a segment whose first token is at `place` in its text; returns its number."""
        number = len(self.parents)
        self.parents.append(parent)
        self.tokens.extend(tokens)
        self.places.extend(range(place, place + len(tokens)))
        self.segments.extend([number] * len(tokens))
        return number

    def ancestors(self) -> list[list[bool]]:
        """Of each segment, which ones it sees: itself and those up to the root, [segments, segments]."""
        seen: list[list[bool]] = []
        for number, parent in enumerate(self.parents):
            row = [False] * len(self.parents) if parent is None else list(seen[parent])
            row[number] = True
            seen.append(row)
        return seen


@dataclass(frozen=True)
class _Item:
    """Continuations of one prefix that are asked together; `choices` are their places."""

    question: int
    prefix: tuple[int, ...]
    choices: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        return len(self.prefix) + sum(len(each) - 1 for each in self.continuations)


def pack(questions: Sequence[EncodedQuestion], max_length: int, *, share: bool) -> tuple[list[PackedRow], int]:
    """The rows of questions, the longest first, and how many questions were cut to `max_length`."""
    items, cut = _items(questions, max_length)
    rows = [_tree(*group) for group in _groups(items)] if share else [_chain(item) for item in _alone(items)]
    return sorted(rows, key=lambda row: -len(row.tokens)), cut


def batches(rows: Sequence[PackedRow], tokens: int) -> Iterator[Sequence[PackedRow]]:
    """Consecutive rows of at most so many tokens with padding; at least one row each. `rows`: the longest first."""
    start = 0
    while start < len(rows):
        size = max(1, tokens // len(rows[start].tokens))
        yield rows[start : start + size]
        start += size


def _items(questions: Sequence[EncodedQuestion], max_length: int) -> tuple[list[_Item], int]:
    """One item for each question; one for each choice where a prefix must be cut, since it is cut for each choice."""
    found, cut = [], 0
    for number, question in enumerate(questions):
        all_choices = tuple(range(len(question.continuations)))
        if len(question.prefix) + max(map(len, question.continuations)) <= max_length + 1:
            found.append(_Item(number, question.prefix, all_choices, question.continuations))
            continue
        cut += 1
        for choice, continuation in enumerate(question.continuations):
            kept = continuation[:max_length]  # longer than the whole context: its end cannot be measured
            prefix = question.prefix[-(max_length + 1 - len(kept)) :]
            found.append(_Item(number, prefix, (choice,), (kept,)))
    return found, cut


def _alone(items: Sequence[_Item]) -> Iterator[_Item]:
    """Items whose continuations have the same tokens but the last."""
    for item in items:
        same: dict[tuple[int, ...], list[int]] = {}
        for place, continuation in enumerate(item.continuations):
            same.setdefault(continuation[:-1], []).append(place)
        for places in same.values():
            yield _Item(
                item.question,
                item.prefix,
                tuple(item.choices[place] for place in places),
                tuple(item.continuations[place] for place in places),
            )


def _chain(item: _Item) -> PackedRow:
    row = PackedRow()
    row.add((*item.prefix, *item.continuations[0][:-1]))
    first = len(item.prefix) - 1
    for choice, continuation in zip(item.choices, item.continuations, strict=True):
        positions = tuple(range(first, first + len(continuation)))
        row.continuations.append(PackedContinuation(item.question, choice, positions, continuation))
    return row


def _groups(items: Sequence[_Item]) -> Iterator[tuple[list[_Item], int]]:
    """Items that share a row, and how many tokens of their prefixes are common."""
    group: list[_Item] = []
    common = length = 0
    for item in sorted(items, key=lambda each: each.prefix):
        if group:
            shared = _common(group[0].prefix, item.prefix, common)
            longer = length + item.length
            saved = shared * len(group)
            if 2 * shared >= len(item.prefix) and shared >= LEAST_SHARED and longer - saved <= LONGEST_ROW:
                group.append(item)
                common, length = shared, longer
                continue
            yield group, common if len(group) > 1 else 0
        group, common, length = [item], len(item.prefix), item.length
    if group:
        yield group, common if len(group) > 1 else 0


def _common(first: Sequence[int], second: Sequence[int], most: int) -> int:
    """Tokens at the beginning of both, at most `most`, and not all of either: its last token is the question's own."""
    end = min(most, len(first) - 1, len(second) - 1)
    return next((place for place in range(end) if first[place] != second[place]), end)


def _tree(items: Sequence[_Item], common: int) -> PackedRow:
    row = PackedRow()
    root = row.add(items[0].prefix[:common]) if common else None
    for item in items:
        asked = row.add(item.prefix[common:], root, common)
        last = len(row.tokens) - 1
        for choice, continuation in zip(item.choices, item.continuations, strict=True):
            begin = len(row.tokens)
            if len(continuation) > 1:
                row.add(continuation[:-1], asked, len(item.prefix))
            positions = (last, *range(begin, begin + len(continuation) - 1))
            row.continuations.append(PackedContinuation(item.question, choice, positions, continuation))
    return row
