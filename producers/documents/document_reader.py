"""Reads a run's documents from the log, in the order in which they were added, and which of them are withdrawn.

A withdrawal may be anywhere after its document, so the log of documents is read to its end before the first document is
given, and what is new before each further one. The same pass finds documents that are on the log more than once, from
its beginning on: of equal ones the first counts. Memory: one fetch, the ids of withdrawn documents, and some 150 bytes
for each document. A run without documents has no such topic; once one is there, it is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

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
        self._offsets: dict[bytes, int] = {}  # of the first record of each document

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
            match record.event:
                case DocumentWithdrawn() as withdrawal:
                    self.withdrawn.add(withdrawal.document_id)
                case DocumentRead():
                    self._is_first(record)
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
            event = record.event
            if not isinstance(event, DocumentRead) or not self._is_first(record):
                continue
            if record.offset % of == first - 1 and event.dropped is None:
                return PlacedDocument(record.id, record.offset, event.text)
        return None

    def _is_first(self, record: Record) -> bool:
        """Whether the document in a record is at no smaller offset too. Either reader may come to a record first."""
        key = blake2b(record.id.encode(), digest_size=16).digest()
        return self._offsets.setdefault(key, record.offset) == record.offset

    def _open(self) -> tuple[LogReader, LogReader] | None:
        """A reader from the start of this lane and one from the start of the topic; None: there is no such topic."""
        withdrawals = LogReader(self._settings, self._run, [_TOPIC], f"{self._component}-withdrawn")
        if not withdrawals.partitions(_TOPIC):
            withdrawals.close()
            return None
        documents = LogReader(self._settings, self._run, [_TOPIC], self._component)
        documents.seek(_TOPIC, 0, min(self._start, documents.ends()[_TOPIC, 0]))
        return documents, withdrawals
