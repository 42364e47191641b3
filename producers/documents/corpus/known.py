"""The documents on a run's log."""

from collections.abc import Iterator

from infra.log.source import Source
from schemas.documents import DocumentRead, DocumentWithdrawn


def documents_on_log(source: Source) -> Iterator[tuple[str, DocumentRead]]:
    """(id, event) of each document, in the order of the log. Deduplicated: the first event with an id counts."""
    seen: set[str] = set()
    with source.open(["documents"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, DocumentRead) and record.id not in seen:
                seen.add(record.id)
                yield record.id, record.event


def withdrawals_on_log(source: Source) -> dict[str, str]:
    """Why each withdrawn document is withdrawn, by its id; the first withdrawal counts."""
    found: dict[str, str] = {}
    with source.open(["documents"]) as reading:
        for record in reading.rest():
            if record.names(DocumentWithdrawn) and isinstance(record.event, DocumentWithdrawn):
                found.setdefault(record.event.document_id, record.event.reason)
    return found
