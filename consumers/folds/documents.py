"""The documents of a run and their withdrawals: a fold of `documents`.

A document counts once, by its id, and so does its withdrawal: the first record. A withdrawal is for ever. Readers name
how far they have read `documents`; a document is withdrawn for them if its withdrawal is at or before that offset.

Texts are not kept, so memory is some hundred bytes a document; `read_withdrawals` remembers only withdrawn ones, and
decodes nothing else.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from consumers.folds.deduplicate import ReadProgress, no_progress, records
from infra.log.record import Record
from infra.log.source import Source
from schemas.documents import DocumentRead, DocumentWithdrawn, DropReason
from schemas.errors import RunError
from schemas.registry import spec_of

TOPIC = "documents"

_WITHDRAWN_TYPE = f"sedi.{spec_of(DocumentWithdrawn).name}.v".encode()


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document without its text: the offset of its DocumentRead on `documents`, its file, why it is not used."""

    offset: int
    source: str
    dropped: DropReason | None


@dataclass
class DocumentFold:
    """The state of the fold.

    documents   by id
    withdrawn   offset of the first withdrawal, by document id
    end         offset after the last record that was read
    """

    documents: dict[str, ListedDocument] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    end: int = 0

    def apply(self, record: Record) -> bool:
        """Take a record into account. False for a repeat, or when it cannot be read."""
        self.end = max(self.end, record.offset + 1)
        match record.event:
            case DocumentRead() as event if record.id not in self.documents:
                listed = ListedDocument(record.offset, sys.intern(event.source), event.dropped)
                self.documents[record.id] = listed
            case DocumentWithdrawn(document_id=id) if id not in self.withdrawn:
                self.withdrawn[id] = record.offset
            case _:
                return False
        return True

    def is_withdrawn(self, id: str, through: int) -> bool:
        """Whether a document is withdrawn for a reader that has read `documents` up to and with offset `through`."""
        at = self.withdrawn.get(id)
        return at is not None and at <= through


def read_documents(source: Source, progress: ReadProgress = no_progress) -> DocumentFold:
    """Read all of `documents`; a run without the topic has none."""
    fold = DocumentFold()
    with source.open([TOPIC]) as reading:
        for record in records(reading, TOPIC, progress):
            fold.apply(record)
    return fold


@dataclass(frozen=True)
class Withdrawals:
    """The withdrawn documents as of an offset of `documents`.

    offsets      of the first withdrawal, by document id
    start, end   the records [start, end) that were read; equal for a run without documents
    """

    offsets: dict[str, int]
    start: int
    end: int


def read_withdrawals(source: Source, through: int | None = None) -> Withdrawals:
    """The withdrawn documents as of offset `through`; None: as of the last record.

    Raises RunError when `documents` does not reach to `through`.
    """
    with source.open([TOPIC]) as reading:
        start, end = reading.starts()[TOPIC, 0], reading.ends()[TOPIC, 0]
        if through is not None and through >= end:
            raise RunError(
                f"{source.name} has no offset {through} of documents; "
                f"{f'the last is {end - 1}. Give a smaller one' if end else 'it has none. Leave the option out'}."
            )
        end = end if through is None else through + 1
        found: dict[str, int] = {}
        for id, offset in withdrawals_of(record for record in records(reading, TOPIC) if record.offset < end):
            found.setdefault(id, offset)
    return Withdrawals(found, start, end)


def withdrawals_of(found: Iterator[Record]) -> Iterator[tuple[str, int]]:
    """The (document id, offset) of each withdrawal; only these records are decoded."""
    for record in found:
        is_withdrawal = any(name == "ce_type" and value.startswith(_WITHDRAWN_TYPE) for name, value in record.headers)
        if is_withdrawal and isinstance(event := record.event, DocumentWithdrawn):
            yield event.document_id, record.offset


class _CutFrom(msgspec.Struct):
    document_id: str


class _Made(msgspec.Struct):
    segment: _CutFrom | None = None


_made = msgspec.json.Decoder(_Made)


def document_of(record: Record) -> str | None:
    """The document that a record of `generated` was made from, without decoding the rest; None: from none."""
    try:
        made = _made.decode(record.value or b"")
    except msgspec.MsgspecError:
        return None
    return None if made.segment is None else made.segment.document_id
