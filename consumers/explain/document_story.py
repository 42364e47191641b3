"""The story of a document: what it is, whether it is used, its segments, and the rows made from them."""

from collections.abc import Iterable, Iterator
from functools import partial

from consumers.copied_fields import fields_of
from consumers.explain.history import TopicRecords
from consumers.explain.schema.document import DocumentStory, DocumentSummary, SegmentSummary, WithdrawalFact
from consumers.explain.schema.place import RecordPlace, place_of
from consumers.folds.deduplicate import Deduplicator, ReadProgress, first_events, no_progress, records
from infra.log.record import Record
from infra.log.source import Source
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.errors import RunError
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, TrainingLogged

_TOPICS = ("documents", "generated", "kept", "rejected", "training-log")

DocumentFacts = tuple[tuple[RecordPlace, DocumentRead] | None, WithdrawalFact | None]
"""A document as it was read, and its withdrawal; None for what is not on the log."""


def document_of(source: Source, id: str, progress: ReadProgress = no_progress) -> DocumentStory:
    """The document with this id. Raises RunError when it is not there any more."""
    with source.open(_TOPICS) as reading:
        read = partial(records, reading, progress=progress)
        facts = facts_about([id], read)[id]
        if facts[0] is None:
            raise RunError(f"Document {id} is not on the log any more: it changed while it was read. Try again.")
        event = facts[0][1]
        segments = _segments(id, read)
    nearest = None
    if event.nearest_id is not None:
        with source.open(["documents"]) as reading:
            of_nearest = facts_about([event.nearest_id], partial(records, reading, progress=progress))
            nearest = summary_of(event.nearest_id, of_nearest[event.nearest_id])
    return DocumentStory(
        **fields_of(DocumentStory, event), document=summary_of(id, facts), nearest=nearest, segments=segments
    )


def events_about(id: str, read: TopicRecords) -> Iterator[tuple[Record, DocumentRead | DocumentWithdrawn]]:
    """The records of `documents` about a document, whose key is its id; others are not decoded."""
    wanted = id.encode()
    for record in read("documents"):
        event = record.event if record.key == wanted else None
        if isinstance(event, DocumentRead | DocumentWithdrawn):
            yield record, event


def facts_about(wanted: Iterable[str], read: TopicRecords) -> dict[str, DocumentFacts]:
    """What `documents` has about these documents; of repeats the first."""
    found: dict[str, DocumentFacts] = dict.fromkeys(wanted, (None, None))
    keys = {id.encode(): id for id in found}
    for record in read("documents"):
        id = keys.get(record.key or b"")
        if id is None:
            continue
        (document, withdrawn), event = found[id], record.event
        if isinstance(event, DocumentRead):
            document = document or (place_of(record), event)
        elif isinstance(event, DocumentWithdrawn):
            withdrawn = withdrawn or WithdrawalFact(at=place_of(record), reason=event.reason)
        found[id] = document, withdrawn
    return found


def summary_of(id: str, facts: DocumentFacts) -> DocumentSummary:
    """A document without its text."""
    document, withdrawn = facts
    if document is None:
        return DocumentSummary(id=id, at=None, withdrawn=withdrawn)
    at, event = document
    return DocumentSummary(id=id, at=at, withdrawn=withdrawn, **fields_of(DocumentSummary, event))


def _segments(id: str, read: TopicRecords) -> tuple[SegmentSummary, ...]:
    """The segments that generations are about, with their kept rows."""
    deduplicator, wanted = Deduplicator(), id.encode()
    for record in read("rejected"):  # before `generated`, so that what the filter could not read is known
        if isinstance(record.event, InstructionsRejected):
            deduplicator.rejected(record.event)
    generations: dict[str, tuple[int, InstructionsGenerated]] = {}
    for record in read("generated"):
        event = record.event
        if not isinstance(event, InstructionsGenerated) or not deduplicator.generated(event, record.offset):
            continue
        if wanted in (record.value or b"") and event.segment is not None and event.segment.document_id == id:
            generations[record.id] = record.offset, event
    kept: dict[str, str] = {}  # generation by row
    for record in read("kept"):
        row = record.event
        if isinstance(row, InstructionKept) and row.generation_id in generations:
            kept[row.id] = row.generation_id
    steps: dict[str, list[tuple[int, int]]] = {}  # by generation
    for _, window in first_events(read("training-log"), TrainingLogged, deduplicator):
        for step in window.steps:
            for trained in {kept[row.id] for row in step.rows if row.id in kept}:
                steps.setdefault(trained, []).append((window.epoch, step.step))
    return tuple(
        SegmentSummary(
            **fields_of(SegmentSummary, event.segment),
            generation_id=generation_id,
            generated_offset=offset,
            candidates=len(event.instructions),
            kept=tuple(row for row, of in kept.items() if of == generation_id),
            steps=tuple(steps.get(generation_id, ())),
        )
        for generation_id, (offset, event) in generations.items()
        if event.segment is not None
    )
