"""Segments in an audit: each is its document's text at its spans, and the document is on `documents` and not dropped.

A generation names the record of its document. What must be true of the record is noted, in some hundred bytes a
segment, while `generated` is read; then `documents` is read once. Whether a document was withdrawn before a generation
began is not known: offsets of two topics have no order.
"""

from typing import NamedTuple

from consumers.replay.digests import Digests, digest
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings, place_of
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas import ids
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.events import Event, InstructionsGenerated
from schemas.segments import Segment
from streams.core.documents.spans import segment_text
from streams.core.parse.segment_answers import WITHDRAWN, is_withdrawn
from streams.core.steps import DOCUMENTS


class _Noted(NamedTuple):
    """A segment of the generation at `generated_offset`; document id and text as digests."""

    generated_offset: int
    document: int
    spans: tuple[tuple[int, int], ...]
    text: int


class SegmentAudit:
    """Notes the segments of `generated`, and checks them with `documents` at the end."""

    def __init__(self, stream: EffectStream, findings: Findings, digests: Digests) -> None:
        self._stream = stream
        self._findings = findings
        self._digests = digests
        self._repeats = RepeatCheck(findings)
        self._noted: dict[int, list[_Noted]] = {}
        self._withdrawn: dict[int, list[int]] = {}  # generations that are empty because of it, by document
        self._segments = self._documents = 0

    @property
    def count(self) -> dict[str, int]:
        """How many of each were checked."""
        return {"documents": self._documents, "segments": self._segments}

    def note(self, record: Record, event: InstructionsGenerated) -> None:
        """Note the segment of a generation, if it has one."""
        segment = event.segment
        if segment is None:
            if event.style == DOCUMENTS and event.instructions:
                self._report(record.offset, "has instructions and no segment", None, None)
            return
        own = _own_id(segment)
        if segment.id != own:
            self._report(record.offset, "names a segment by an id that is not its own", segment.id, own)
        noted = _Noted(record.offset, _digest(segment.document_id), segment.spans, _digest(segment.text))
        self._noted.setdefault(segment.documents_offset, []).append(noted)
        self._segments += 1
        if is_withdrawn(event):
            self._withdrawn.setdefault(noted.document, []).append(record.offset)

    def check(self, whole: bool) -> None:
        """Check the noted segments, and of a `whole` log all of `documents`."""
        while (whole or self._noted or self._withdrawn) and (record := self._stream.take()) is not None:
            event = record.event
            if isinstance(event, DocumentRead | DocumentWithdrawn):
                self._check_event(record, event)
            else:
                self._findings.cannot_read(record, str(record.error))
            for noted in self._noted.pop(record.offset, ()):
                self._check(noted, record.offset, record.id, event)
        for offset, left in sorted(self._noted.items()):
            for noted in left:
                what = f"is about offset {offset} of documents, where there is no record"
                self._report(noted.generated_offset, what, offset, None)
        for at in sorted(at for generations in self._withdrawn.values() for at in generations):
            self._report(at, "is empty because its document was withdrawn, which it was not", WITHDRAWN, None)

    def _check_event(self, record: Record, event: DocumentRead | DocumentWithdrawn) -> None:
        key = (record.key or b"").decode(errors="replace")
        document = event.document_id if isinstance(event, DocumentWithdrawn) else record.id
        if key != document:  # readers find a document by it
            self._altered(record, event, "has a key that is not its document's id", key, document)
        if not self._repeats.fresh(record, event, content(record)):
            return
        self._documents += 1
        if isinstance(event, DocumentWithdrawn):
            self._withdrawn.pop(_digest(event.document_id), None)
        self._digests.add("documents", content(record))
        own = _own_id(event)
        if record.id != own:
            self._altered(record, event, "has an id that is not its own", record.id, own)

    def _check(self, noted: _Noted, offset: int, id: str, event: Event | None) -> None:
        at = noted.generated_offset
        if not isinstance(event, DocumentRead):
            self._report(at, f"is about offset {offset} of documents, where there is no document", offset, None)
        elif _digest(id) != noted.document:
            self._report(at, f"names another document than the one at offset {offset} of documents", None, id)
        elif event.dropped is not None:
            what = f"is about the document at offset {offset} of documents, which was dropped ({event.dropped})"
            self._report(at, what, offset, event.dropped)
        else:
            try:
                text = segment_text(event.text, noted.spans)
            except ValueError as error:
                self._report(at, f"has a segment whose spans are wrong: {error}", noted.spans, None)
                return
            if _digest(text) != noted.text:
                what = f"has a segment with another text than document {id} has at its spans"
                self._report(at, what, noted.spans, text)

    def _altered(
        self, record: Record, event: DocumentRead | DocumentWithdrawn, what: str, recorded: str, decided: str | None
    ) -> None:
        what = f"The {type(event).__name__} at {record.offset} of documents {what}."
        at = self._findings.state().applied + 1
        self._findings.diverged("altered", place_of(record), at, what, id=record.id, recorded=recorded, decided=decided)

    def _report(self, offset: int, what: str, recorded: object, decided: object) -> None:
        place = "generated", 0, offset
        what = f"The generation at offset {offset} {what}."
        self._findings.diverged("segment", place, offset, what, recorded=recorded, decided=decided)


def _own_id(event: Segment | DocumentRead | DocumentWithdrawn) -> str | None:
    """The id that it should have; None if the id of its document is malformed."""
    try:
        match event:
            case Segment():
                return ids.segment_id(event.document_id, event.strategy, event.spans)
            case DocumentRead():
                return ids.document_id(event.source, event.place, event.start, event.sha256)
            case DocumentWithdrawn():
                return ids.withdrawn_id(event.document_id)
    except ValueError:
        return None


def _digest(text: str) -> int:
    return digest(text.encode())
