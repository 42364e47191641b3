"""A document on one screen, and a segment of one with the candidates for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sedi.explain_parts import LINES, SHORT, at_text, panel
from sedi.explain_texts import TEXT, cut
from sedi.output import shown

if TYPE_CHECKING:
    from rich.console import Console

    from consumers.explain.schema.document import (
        CandidateStory,
        DocumentStory,
        DocumentSummary,
        SegmentStory,
        SegmentSummary,
    )

_SEGMENTS = 20  # of a document that are listed


def show_document(out: Console, story: DocumentStory) -> None:
    """Print what a document is and what was made from it."""
    panel(out, f"Document {story.document.id}", [*_document(story.document), *_facts(story)])
    rows = sum(len(segment.kept) for segment in story.segments)
    lines = [_segment_line(segment) for segment in story.segments[:_SEGMENTS]]
    if len(story.segments) > _SEGMENTS:
        lines.append(f"… and {len(story.segments) - _SEGMENTS:,} more; --json lists all")
    title = f"Made from it: {len(story.segments):,} segments, {rows:,} kept rows"
    panel(out, title, lines or ["nothing"])


def show_segment(out: Console, story: SegmentStory, instruction_id: str | None = None) -> None:
    """Print a segment with its document and its candidates; `instruction_id`: the candidate that is explained."""
    form = "" if story.form is None else f" ({story.form})"
    panel(
        out,
        f"Segment {story.id}",
        [
            f"number {story.number} of its document, cut as {story.strategy}{form}, characters {_spans(story.spans)}",
            cut(story.text, 2 * TEXT),
            *_document(story.document),
        ],
    )
    panel(out, "Candidates for it", _candidates(story, instruction_id))


def _document(document: DocumentSummary) -> Iterator[str]:
    if document.at is None:
        yield f"document {document.id}: not on the log"
    else:
        part = f", from character {document.start:,} of the whole text" if document.start else ""
        place = f", place {document.place}" if document.place else ""
        title = f" “{document.title}”" if document.title else ""
        yield f"document {document.id}{title}: {document.source}{place}{part}{at_text(document.at)}"
        yield (
            f"{document.format}, {document.characters:,} characters, language {document.language or 'unknown'}, "
            f"licence {document.licence or 'unknown'}"
        )
    if document.withdrawn is not None:
        yield f"WITHDRAWN: {document.withdrawn.reason}{at_text(document.withdrawn.at)}"


def _facts(story: DocumentStory) -> Iterator[str]:
    yield f"SHA-256 {story.sha256}"
    document, nearest = story.document, story.nearest
    if document.dropped is None:
        yield "used"
        return
    measured = "" if story.value is None else f", measured {shown(story.value)}"
    limit = "" if story.limit is None else f", limit {shown(story.limit)}"
    of = "" if nearest is None else f", of {nearest.id} ({nearest.source or 'not on the log'})"
    yield f"dropped: {document.dropped}{of}{measured}{limit}"


def _segment_line(segment: SegmentSummary) -> str:
    form = "" if segment.form is None else f" ({segment.form})"
    kept = f"kept {', '.join(id[:8] for id in segment.kept)}" if segment.kept else "none kept"
    steps = ", ".join(f"{epoch}/{step}" for epoch, step in segment.steps[:LINES])
    trained = f", steps {steps}" if steps else ""
    return (
        f"{segment.number}: {segment.strategy}{form}, characters {_spans(segment.spans)}; generation "
        f"{segment.generation_id[:8]}: {segment.candidates} candidates, {kept}{trained}"
    )


def _candidates(story: SegmentStory, instruction_id: str | None) -> Iterator[str]:
    scorer = story.scorer
    if scorer is None:
        yield "not scored"
    else:
        yield f"scored by {scorer.model} ({scorer.backend}, template {scorer.template}) over {story.tokens} tokens"
    for candidate in story.candidates:
        mark = "→" if candidate.id == instruction_id else " "
        yield f"{mark} {candidate.id[:8]} {_scores(candidate)}; {_verdict(candidate, story)}"
        yield f"    {cut(candidate.instruction, SHORT)}"


def _scores(candidate: CandidateStory) -> str:
    if candidate.perplexity is None or candidate.gain is None:
        return "a copy, not scored" if candidate.copied else "not scored"
    return f"perplexity {candidate.perplexity:.3f}, gain {candidate.gain:+.4f} nats a token"


def _verdict(candidate: CandidateStory, story: SegmentStory) -> str:
    reason = "" if candidate.reason is None else f": {candidate.reason}"
    behind = ""
    if candidate.behind is not None and story.winner is not None:
        behind = f", {candidate.behind:.4f} nats a token behind {story.winner[:8]}"
    return f"{candidate.outcome}{reason}{behind}"


def _spans(spans: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{start:,}–{end:,}" for start, end in spans)
