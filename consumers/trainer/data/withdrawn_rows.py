"""Rows whose document was withdrawn: from then on they are in no step.

Withdrawals are read before a window's first step, up to the last record of `documents` then, and hold for the whole
window, which names that offset on the log (`TrainingLogged.documents_offset`). A window that is trained again, after a
crash or from a checkpoint, gets the withdrawals of the offset it names. So which rows a window may hold depends on the
log alone.

Only the first rank reads `documents`. A row names its generation and not its document, so from the first withdrawal on
each rank also reads `generated`, of which it keeps a number a generation.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from consumers.folds.documents import TOPIC, document_of, withdrawals_of
from consumers.trainer.distributed.process_group import ProcessGroup
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.source import Source
from infra.settings import Settings
from streams.core.batches import KeptRow

_AT_ONCE = 200  # records that are held at a time: documents may be long
_LOOK_AGAIN_S = 10.0


class TopicRanges(Protocol):
    """Topics of one partition, `documents` and `generated`, read in parts."""

    def end(self, topic: str) -> int:
        """The offset after its last record; 0 for an empty or missing topic."""
        ...

    def read(self, topic: str, start: int, end: int) -> Iterator[Record]:
        """The records [start, end)."""
        ...

    def close(self) -> None: ...


class LiveRanges:
    """Of a run's live log. A run that began without documents may get some: the missing topic is looked for again."""

    def __init__(self, settings: Settings, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._run = run
        self._clock = clock
        self._readers: dict[str, LogReader] = {}
        self._opened: dict[str, float] = {}

    def end(self, topic: str) -> int:
        reader = self._reader(topic)
        return max(reader.ends().values(), default=0)

    def read(self, topic: str, start: int, end: int) -> Iterator[Record]:
        reader = self._reader(topic)
        start, end = max([start, *reader.starts().values()]), min([end, *reader.ends().values()])
        for first in range(start, end, _AT_ONCE):  # there may be none at all these offsets
            yield from reader.read_range(topic, 0, first, min(first + _AT_ONCE, end), _AT_ONCE)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def _reader(self, topic: str) -> LogReader:
        reader = self._readers.get(topic)
        if reader is not None and (reader.partitions(topic) or self._clock() - self._opened[topic] < _LOOK_AGAIN_S):
            return reader
        if reader is not None:
            reader.close()
        self._readers[topic] = LogReader(self._settings, self._run, [topic], "trainer")
        self._opened[topic] = self._clock()
        return self._readers[topic]


class SourceRanges:
    """Of an archive."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def end(self, topic: str) -> int:
        with self._source.open([topic]) as reading:
            return reading.ends()[topic, 0]

    def read(self, topic: str, start: int, end: int) -> Iterator[Record]:
        with self._source.open([topic]) as reading:
            reading.seek(topic, 0, max(start, reading.starts()[topic, 0]))
            while (record := reading.next(topic, 0)) is not None and record.offset < end:
                yield record

    def close(self) -> None:
        """There is nothing to close."""


class WithdrawnRows:
    """Which rows are from withdrawn documents. `log` None: rows that come from no log, of which none is.

    documents_offset   the last record of `documents` that was read, -1 for none
    """

    def __init__(self, log: TopicRanges | None, group: ProcessGroup) -> None:
        self.documents_offset = -1
        self._log = log
        self._group = group
        self._withdrawn: set[str] = set()
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}  # of the documents in `_names`
        self._document = array("l")  # number of the document of each record of `generated`, -1 for none

    def renew(self, through: int | None = None) -> int:
        """Read `documents` on, to its last record or up to and with `through` (all ranks). Returns how many documents
        were withdrawn since."""
        if self._log is None:
            return 0
        found = self._read_on(self._log, through) if self._group.is_first else None
        found = self._group.broadcast(found)
        assert found is not None
        offset, ids = found
        self.documents_offset = max(self.documents_offset, offset)
        new = ids - self._withdrawn
        self._withdrawn |= new
        return len(new)

    def has(self, row: KeptRow) -> bool:
        """Whether a row's document is withdrawn."""
        return self.has_generation(row.kept.generated_offset)

    def has_generation(self, generated_offset: int) -> bool:
        """Whether the document of a generation's rows is withdrawn."""
        if not self._withdrawn:
            return False
        number = self._document_of(generated_offset)
        return number >= 0 and self._names[number] in self._withdrawn

    def without(self, rows: Iterable[KeptRow]) -> list[KeptRow]:
        """The rows that may be trained."""
        return [row for row in rows if not self.has(row)]

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def _read_on(self, log: TopicRanges, through: int | None) -> tuple[int, set[str]]:
        start = self.documents_offset + 1
        end = log.end(TOPIC) if through is None else through + 1
        if end <= start:
            return self.documents_offset, set()
        return end - 1, {id for id, _ in withdrawals_of(log.read(TOPIC, start, end))}

    def _document_of(self, generated_offset: int) -> int:
        """The number of a generation's document; -1 for none. Reads `generated` as far as that."""
        assert self._log is not None
        if generated_offset >= len(self._document):
            for record in self._log.read("generated", len(self._document), self._log.end("generated")):
                self._document.extend([-1] * (record.offset - len(self._document)))
                id = document_of(record)
                self._document.append(-1 if id is None else self._number(id))
        return self._document[generated_offset] if generated_offset < len(self._document) else -1

    def _number(self, id: str) -> int:
        number = self._numbers.setdefault(id, len(self._names))
        if number == len(self._names):
            self._names.append(id)
        return number
