"""The withdrawals of a run's documents, and which document a generation was made from.

A withdrawal counts once, the first record, and is for ever. Readers name how far they have read `documents`; a document
is withdrawn for them if its withdrawal is at or before that offset. Only withdrawals are decoded, and only their
documents' ids are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from consumers.folds.deduplicate import records
from infra.log.record import Record
from infra.log.source import Source
from schemas import ids
from schemas.documents import DocumentRead, DocumentWithdrawn
from schemas.errors import RunError

TOPIC = "documents"


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


class _Read(msgspec.Struct):
    source: str
    place: int
    start: int
    sha256: str


_read = msgspec.json.Decoder(_Read)


def document_texts(source: Source) -> Iterator[tuple[str, str]]:
    """The (document id, SHA-256 of the whole text) of each document on `documents`, without decoding the rest.

    A document's id has its file's name in it. The digest is the same in every run, and of all parts of a text.
    """
    with source.open([TOPIC]) as reading:
        for record in records(reading, TOPIC):
            if not record.names(DocumentRead):
                continue
            try:
                read = _read.decode(record.value or b"")
                id = ids.document_id(read.source, read.place, read.start, read.sha256)
            except msgspec.MsgspecError:
                continue
            yield id, read.sha256


def withdrawals_of(found: Iterator[Record]) -> Iterator[tuple[str, int]]:
    """The (document id, offset) of each withdrawal; only these records are decoded."""
    for record in found:
        if record.names(DocumentWithdrawn) and isinstance(event := record.event, DocumentWithdrawn):
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
