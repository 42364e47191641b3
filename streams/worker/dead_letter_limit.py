"""A limit on dead letters, above which the worker stops, because the fault is not in single records.

A single bad record goes to the dead letters, and the agent goes on. But a fault in this program, or in the one that
writes the records, would reroute every record. So each topic has a limit on dead letters in a row and on their share of
all records so far.
"""

from collections.abc import Collection
from dataclasses import dataclass

from schemas.errors import TooManyDeadLetters

SHARE_AFTER = 100
"""With fewer records the share is not checked."""

_SHOWN = 500  # characters of an error


@dataclass(frozen=True)
class DeadLetterLimit:
    """The most dead letters of a topic, in a row and as a share of all records; a share of 1 allows any."""

    in_a_row: int
    share: float


@dataclass(frozen=True)
class Counted:
    """The offset of the last dead letter, or where the count began; how many in a row up to it, and in all."""

    offset: int = -1
    in_a_row: int = 0
    total: int = 0


class DeadLetterCount:
    """The dead letters of a topic's one partition, by offset.

    counted   so far; what is not stored may be taken back by setting an earlier one

    Offsets have no gaps, so a record's offset is also the number of records before it.
    """

    def __init__(self, run: str, topic: str, limit: DeadLetterLimit) -> None:
        self._run = run
        self._topic = topic
        self._limit = limit
        self.counted = Counted()
        self._put_back: Collection[int] = ()

    def recover(self, waiting: Collection[int], put_back: Collection[int], applied: int) -> None:
        """Continue after the offset `applied`; `waiting`, `put_back`: offsets of the dead letters on the log.

        So a restart or a crash loop does not reset the count, and a duplicate counts once. Later offsets come again;
        those put back do not count, however often they are read.
        """
        self._put_back = put_back
        before = {offset for offset in waiting if offset <= applied}
        in_a_row = 0
        while applied - in_a_row in before:
            in_a_row += 1
        self.counted = Counted(applied, in_a_row, len(before))

    def add(self, offset: int, error: Exception) -> None:
        """Count the record at this offset; repeats count once.

        Raises TooManyDeadLetters, without counting it, if it exceeds the limit: then it must not be dead-lettered.
        """
        last = self.counted
        if offset in self._put_back or (last.in_a_row and offset == last.offset):
            return
        in_a_row = last.in_a_row + 1 if offset == last.offset + 1 else 1
        total, seen = last.total + 1, offset + 1
        if in_a_row > self._limit.in_a_row:
            self._stop(offset, error, f"{in_a_row} in a row", f"dead_letters_in_a_row={self._limit.in_a_row}")
        if seen >= SHARE_AFTER and total > self._limit.share * seen:
            self._stop(offset, error, f"{total} of {seen} records", f"dead_letter_share={self._limit.share:g}")
        self.counted = Counted(offset, in_a_row, total)

    def _stop(self, offset: int, error: Exception, found: str, setting: str) -> None:
        shown = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN].removesuffix(".")
        raise TooManyDeadLetters(
            f"Too many dead letters: with offset {offset} of {self._topic} they would be {found}, and {setting}. The "
            f"last error: {shown}. Nothing is lost, and that record is the next to be read. Fix the cause, in this "
            "program or in the one that wrote the records, and start the worker again; `sedi dlq retry --all "
            f"--run {self._run}` then puts the dead letters back, and they do not count any more. If so many records "
            "are bad in themselves, raise that setting."
        )
