"""The documents on a run's log."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from infra.log.source import Source
from schemas.documents import DocumentRead, DocumentWithdrawn


@dataclass(frozen=True)
class KnownDocuments:
    """What is on a log.

    documents     by id, in the order of the log; the first event with an id counts
    withdrawals   why each withdrawn document is withdrawn, by its id; the first withdrawal counts
    """

    documents: dict[str, DocumentRead]
    withdrawals: dict[str, str]

    def with_all_parts(self, ids: Iterable[str]) -> list[str]:
        """These documents and all other parts of their texts: those of the same file, place and digest."""
        texts = {_text_of(self.documents[id]) for id in ids}
        return [id for id, event in self.documents.items() if _text_of(event) in texts]


def known_documents(
    source: Source, *, texts: Callable[[str], bool] = lambda _: False, progress: Callable[[int], None] = lambda _: None
) -> KnownDocuments:
    """All documents and withdrawals, read once.

    texts      of an id: whether the document's text is to be held; else it is empty
    progress   told of how many more documents were read
    """
    found = KnownDocuments({}, {})
    with source.open(["documents"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, DocumentRead) and record.id not in found.documents:
                held = record.event if texts(record.id) else msgspec.structs.replace(record.event, text="")
                found.documents[record.id] = held
                progress(1)
            elif record.names(DocumentWithdrawn) and isinstance(record.event, DocumentWithdrawn):
                found.withdrawals.setdefault(record.event.document_id, record.event.reason)
    return found


def documents_on_log(source: Source) -> Iterator[tuple[str, DocumentRead]]:
    """(id, event) of each document, with its text, in the order of the log; the first event with an id counts."""
    seen: set[str] = set()
    with source.open(["documents"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, DocumentRead) and record.id not in seen:
                seen.add(record.id)
                yield record.id, record.event


def _text_of(event: DocumentRead) -> tuple[str, int, str]:
    return event.source, event.place, event.sha256
