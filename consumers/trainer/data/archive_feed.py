"""Feeds of rows that exist before the training begins: in a run's archive, or in memory.

They never wait: `take` gives the next few rows of every cluster until all have ended. An archive is read while the
training runs, so memory holds only rows that were taken and not yet trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice

from consumers.trainer.data.log_feed import FedRows
from infra.log.source import Reading, Source
from schemas.events import InstructionAnswered, InstructionKept
from streams.core.answering import usable_row
from streams.core.batches import KeptRow, PartitionPosition

_CHUNK = 16  # rows of a cluster that are taken at a time


class SourceFeed:
    """The partitions of a source's topic with rows, as they are when a pass begins. A row whose answer is not used is
    passed over. Records that cannot be read make a note."""

    def __init__(self, source: Source, topic: str = "kept") -> None:
        self._source = source
        self._topic = topic
        self._open = ExitStack()
        self._rows: dict[int, Iterator[KeptRow | str]] = {}

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        self._open.close()
        reading = self._open.enter_context(self._source.open([self._topic]))
        self._rows = {}
        for cluster, position in positions.items():
            reading.seek(self._topic, cluster, position.offset)
            self._rows[cluster] = _rows(
                reading, self._topic, cluster, None if limits is None else limits[cluster].offset
            )

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        rows: list[KeptRow] = []
        notes: list[str] = []
        for cluster, coming in list(self._rows.items()):
            found = list(islice(coming, _CHUNK))
            rows += [each for each in found if isinstance(each, KeptRow)]
            notes += [each for each in found if isinstance(each, str)]
            if len(found) < _CHUNK:
                del self._rows[cluster]
        return FedRows(tuple(rows), tuple(notes), not self._rows)

    def close(self) -> None:
        self._open.close()


class MemoryFeed:
    """Rows in memory; a row's offset is its index in its cluster."""

    def __init__(self, rows: Sequence[InstructionKept]) -> None:
        self._rows: dict[int, list[KeptRow]] = {}
        for kept in rows:
            mine = self._rows.setdefault(kept.cluster, [])
            mine.append(KeptRow(len(mine), kept))
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        self._next = {cluster: position.offset for cluster, position in positions.items()}
        self._ends = {cluster: len(self._rows.get(cluster, ())) for cluster in positions}
        if limits is not None:
            self._ends = {cluster: min(end, limits[cluster].offset) for cluster, end in self._ends.items()}

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        rows: list[KeptRow] = []
        for cluster, end in self._ends.items():
            first = min(self._next[cluster], end)
            self._next[cluster] = min(first + _CHUNK, end)
            rows += self._rows.get(cluster, [])[first : self._next[cluster]]
        return FedRows(tuple(rows), (), all(self._next[cluster] == end for cluster, end in self._ends.items()))

    def close(self) -> None:
        """There is nothing to close."""


def _rows(reading: Reading, topic: str, cluster: int, end: int | None) -> Iterator[KeptRow | str]:
    """The partition's rows before offset `end`, and a note for each record that is not a row of the cluster."""
    while (record := reading.next(topic, cluster)) is not None and (end is None or record.offset < end):
        place = f"Offset {record.offset} of partition {cluster} of `{topic}`"
        match record.event:
            case InstructionAnswered(row=row) | (InstructionKept() as row) if row.cluster != cluster:
                yield f"{place} is of cluster {row.cluster}: skipped."
            case InstructionAnswered() | InstructionKept() as event:
                if (used := usable_row(event)) is not None:
                    yield KeptRow(record.offset, used)
            case _:
                yield f"{place} cannot be read: skipped."
