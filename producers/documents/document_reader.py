"""Reads a run's documents from the log, in the order in which they were added, and which of them are withdrawn.

A withdrawal may be anywhere after its document, so the log of documents is read to its end, for withdrawals alone,
before the first document is given, and what is new before each further one. Memory: one fetch, and the ids of withdrawn
documents. A run without documents has no such topic; once one is there, it is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from schemas.documents import DocumentRead, DocumentWithdrawn

_TOPIC = "documents"


@dataclass(frozen=True)
class PlacedDocument:
    """A document that is used, and its offset on `documents`."""

    id: str
    offset: int
    text: str


class DocumentReader:
    """Gives the documents that are not dropped, from an offset on. One thread at a time.

    share       (first, of): of each `of` records the first-th, counted from 1
    withdrawn   ids of the withdrawn documents, up to the last `next`
    """

    def __init__(
        self, settings: Settings, run: str, lane: str, *, start: int = 0, share: tuple[int, int] = (1, 1)
    ) -> None:
        self.withdrawn: set[str] = set()
        self._settings, self._run, self._component = settings, run, f"generator-{lane}-documents"
        self._start, self._share = start, share
        self._readers = self._open()
        self._records: Iterator[Record] = iter(())

    @property
    def is_empty(self) -> bool:
        """Whether the run has no record of a document, dropped or not."""
        return self._readers is None or not any(self._readers[0].ends().values())

    def next(self) -> PlacedDocument | None:
        """The next document; None: there is none now."""
        if self._readers is None:
            self._readers = self._open()
        if self._readers is None:
            return None
        documents, withdrawals = self._readers
        for record in withdrawals.read_to_end():
            if record.names(DocumentWithdrawn) and isinstance(record.event, DocumentWithdrawn):
                self.withdrawn.add(record.event.document_id)
        document = self._first(self._records)
        if document is None:
            self._records = documents.read_to_end()
            document = self._first(self._records)
        return document

    def close(self) -> None:
        for reader in self._readers or ():
            reader.close()

    def _first(self, records: Iterator[Record]) -> PlacedDocument | None:
        first, of = self._share
        for record in records:
            event = record.event if record.offset % of == first - 1 else None
            if isinstance(event, DocumentRead) and event.dropped is None:
                return PlacedDocument(record.id, record.offset, event.text)
        return None

    def _open(self) -> tuple[LogReader, LogReader] | None:
        """A reader from the start of this lane and one from the start of the topic; None: there is no such topic."""
        withdrawals = LogReader(self._settings, self._run, [_TOPIC], f"{self._component}-withdrawn")
        if not withdrawals.partitions(_TOPIC):
            withdrawals.close()
            return None
        documents = LogReader(self._settings, self._run, [_TOPIC], self._component)
        documents.seek(_TOPIC, 0, min(self._start, documents.ends()[_TOPIC, 0]))
        return documents, withdrawals
