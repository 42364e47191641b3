"""The kept rows of a run in its total order, as they are decided; read from the log in constant memory.

There is one partition a cluster, each in order. The filter writes one record a generation to `rejected`, after all its
kept rows; so rows up to the generation of the last such record can be merged. Later rows are read by a later pass. Rows
are deduplicated.
"""

import heapq
from collections.abc import Callable, Generator
from itertools import islice

from infra.log.source import Reading, Source
from producers.calls.queue_position import RowsPosition
from schemas.events import InstructionKept, InstructionsRejected

OnRows = Callable[[int, int], None]
"""Called with the number of rows processed and their total."""

READ_ROWS = 500
"""Rows that are read at a time."""

_Placed = tuple[int, int, int, int, InstructionKept]  # generated_offset, place, partition, offset on the log, row


class KeptRows:
    """Reads the rows once. Not thread-safe.

    total   rows kept up to the last generation known to be decided
    """

    def __init__(self, source: Source) -> None:
        self.total = 0
        self._source = source
        self._decided = -1
        self._rejected_offset = 0
        self._offsets: dict[int, int] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._pass: Generator[InstructionKept, None, None] | None = None

    def take(self, most: int) -> list[InstructionKept]:
        """The next rows, at most `most`; fewer, or none, if no more are decided now."""
        if self._pass is None:
            self._pass = self._new_pass()
        rows = list(islice(self._pass, most))
        if len(rows) < most:
            self._pass = None
        return rows

    def position(self) -> RowsPosition:
        """Where it is: after the rows that `take` has returned."""
        return RowsPosition(self._decided, self.total, self._rejected_offset, dict(self._offsets), dict(self._last))

    def go_on(self, position: RowsPosition) -> None:
        """Continue at a position of an earlier reader of the same log, before the first `take`."""
        self._decided, self.total, self._rejected_offset = position.decided, position.total, position.rejected_offset
        self._offsets, self._last = dict(position.offsets), dict(position.last)

    def close(self) -> None:
        if self._pass is not None:
            self._pass.close()

    def _new_pass(self) -> Generator[InstructionKept, None, None]:
        """All rows that are decided when this begins and were not returned before."""
        with self._source.open(["kept", "rejected"]) as reading:
            self._read_rejected(reading)
            partitions = sorted(partition for topic, partition in reading.ends() if topic == "kept")
            for _, _, partition, offset, row in heapq.merge(*(self._rows(reading, number) for number in partitions)):
                self._offsets[partition] = offset + 1
                self._last[partition] = row.generated_offset, row.place
                yield row

    def _read_rejected(self, reading: Reading) -> None:
        reading.seek("rejected", 0, self._rejected_offset)
        while (record := reading.next("rejected", 0)) is not None:
            self._rejected_offset = record.offset + 1
            event = record.event
            if isinstance(event, InstructionsRejected) and event.generated_offset > self._decided:
                self._decided, self.total = event.generated_offset, event.kept_total

    def _rows(self, reading: Reading, partition: int) -> Generator[_Placed, None, None]:
        last = self._last.get(partition, (-1, -1))
        reading.seek("kept", partition, self._offsets.get(partition, 0))
        while (record := reading.next("kept", partition)) is not None:
            row = record.event
            if not isinstance(row, InstructionKept) or (row.generated_offset, row.place) <= last:
                continue
            if row.generated_offset > self._decided:
                return
            last = row.generated_offset, row.place
            yield *last, partition, record.offset, row
