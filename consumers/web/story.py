"""A row as the page tells it: texts cut into pieces of which some are marked.

Places in a text are counted in code points here and otherwise in a browser, and what cannot be seen is escaped there.
So the page gets pieces and no places.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from consumers.explain.schema.explanation import Explanation
from consumers.explain.schema.place import Span
from consumers.folds.deduplicate import ReadProgress
from consumers.folds.run_fold import RunFold
from consumers.index import rows
from infra.log.source import Source
from streams.core.similarity.lcs import common_subsequence, token_spans
from streams.core.similarity.tokenize import Tokenizer, tokenizer

Explain = Callable[[Source, str, ReadProgress], Explanation]

Pieces = list[tuple[str, bool]]
"""A text, piece by piece, and whether a piece is marked."""


def pieces(text: str, spans: Iterable[Span] | None) -> Pieces:
    """The text cut at spans, which ascend; marked are those within one."""
    found: Pieces = []
    at = 0
    for start, end in spans or ():
        if start > at:
            found.append((text[at:start], False))
        found.append((text[start:end], True))
        at = end
    if at < len(text):
        found.append((text[at:], False))
    return found


def row_in_short(connection: sqlite3.Connection, fold: RunFold, id: str) -> dict[str, Any] | None:
    """What the index has of a row, with the row that it was too similar to, both marked; None: no such row."""
    found = rows.row(connection, id)
    if found is None:
        return None
    other = (
        None
        if found["nearest"] is None
        else rows.text_of(connection, found["nearest"]) or _seed(fold, found["nearest"])
    )
    text = found["instruction"]
    if other is None:
        return {**found, "pieces": pieces(text, ()), "its_pieces": None}
    mine, its = _common(text, other, tokenizer(fold.configured.policy.tokenizer))
    return {**found, "pieces": pieces(text, mine), "its_pieces": pieces(other, its)}


def told(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain data, its texts with marks in pieces."""
    found: dict[str, Any] = msgspec.to_builtins(explanation)
    story, plain = explanation.instruction, found.get("instruction")
    if story is None or plain is None:
        return found
    for answer, shown in zip(story.answers, plain["answers"], strict=True):
        shown["pieces"] = pieces(answer.raw, () if answer.span is None else (answer.span,))
    if story.nearest is not None:
        plain["nearest"]["pieces"] = pieces(story.instruction, story.nearest.marks)
        plain["nearest"]["its_pieces"] = pieces(story.nearest.instruction, story.nearest.its_marks)
    return found


def _common(one: str, other: str, tokens_of: Tokenizer) -> tuple[list[Span] | None, list[Span] | None]:
    """The tokens of the longest common subsequence in both; None where tokens have no places."""
    pairs = common_subsequence(tokens_of(one), tokens_of(other))
    places = token_spans(one, tokens_of), token_spans(other, tokens_of)
    mine = None if places[0] is None else [places[0][at] for at, _ in pairs]
    return mine, None if places[1] is None else [places[1][at] for _, at in pairs]


def _seed(fold: RunFold, id: str) -> str | None:
    return next((seed.instruction for seed in fold.configured.seeds if seed.id == id), None)
