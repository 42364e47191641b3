"""The kept rows of a run with their answers, in its total order, as they are answered; read in constant memory.

In a run that answers kept instructions alone, a row is given once it has its input and output. One whose answer is not
used is passed over. A row that has no answer yet holds back all later ones, so the order depends on the log alone.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Protocol

from infra.log.answers import TOPIC, AnswersInOrder
from infra.log.source import Source
from producers.calls.kept_rows import KeptRows
from producers.calls.queue_position import RowsPosition
from schemas.events import InstructionKept
from schemas.policy import Policy
from streams.core.answering import usable_row


class RowsInOrder(Protocol):
    """Rows with their outputs, each given once, in the run's total order. Not thread-safe."""

    @property
    def total(self) -> int:
        """How many rows there are, as far as that is known."""
        ...

    def take(self, most: int) -> list[InstructionKept]:
        """The next rows, at most `most`; fewer, or none, if there are no more now."""
        ...

    def position(self) -> RowsPosition:
        """Where it is: after the rows that `take` has returned."""
        ...

    def go_on(self, position: RowsPosition) -> None:
        """Continue at a position of an earlier reader of the same log, before the first `take`."""
        ...

    def close(self) -> None: ...


class AnsweredRows:
    """Reads the rows once. Not thread-safe.

    total   rows kept up to the last generation known to be decided, without those known to be unused
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept = KeptRows(source)
        self._answers = AnswersInOrder()
        self._next: InstructionKept | None = None  # taken from `_kept`, and waiting for its answer
        self._unused = 0
        self._pass: Generator[InstructionKept, None, None] | None = None

    @property
    def total(self) -> int:
        return self._kept.total - self._unused

    def take(self, most: int) -> list[InstructionKept]:
        """The next rows, at most `most`; fewer, or none, if no more are answered now."""
        if self._pass is None:
            self._pass = self._new_pass()
        rows: list[InstructionKept] = []
        while len(rows) < most:
            row = next(self._pass, None)
            if row is None:
                self._pass = None
                break
            rows.append(row)
        return rows

    def position(self) -> RowsPosition:
        """Where it is: after the rows that `take` has returned."""
        offsets = dict(self._answers.next_offsets)
        return replace(self._kept.position(), answer_offsets=offsets, waiting=self._next, unused=self._unused)

    def go_on(self, position: RowsPosition) -> None:
        """Continue at a position of an earlier reader of the same log, before the first `take`."""
        self._kept.go_on(position)
        self._answers.next_offsets = dict(position.answer_offsets)
        self._next, self._unused = position.waiting, position.unused

    def close(self) -> None:
        if self._pass is not None:
            self._pass.close()
        self._kept.close()

    def _new_pass(self) -> Generator[InstructionKept, None, None]:
        with self._source.open([TOPIC]) as reading:
            self._answers.seek(reading)
            while self._next is not None or (taken := self._kept.take(1)):
                row = self._next or taken[0]
                self._next = row
                answer = self._answers.of(reading, row)
                if answer is None and not self._answers.is_passed(row):
                    return
                self._next = None
                used = None if answer is None else usable_row(answer)
                self._unused += used is None
                if used is not None:
                    yield used


def rows_in_order(source: Source, policy: Policy) -> RowsInOrder:
    """The rows that a run's readers read, by its policy."""
    return AnsweredRows(source) if policy.answer == "kept" else KeptRows(source)
