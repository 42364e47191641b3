"""How many dead letters of a topic are too many: then the fault is not in single records, and the worker stops.

A record that is wrong in itself goes to the dead letters, and the agent goes on. A fault in our own code, or in whoever
writes there, would send every record that way, politely, one after the other. So each topic has a limit of dead letters
in a row and of their share of all records so far.
"""

from collections.abc import Collection
from dataclasses import dataclass

from schemas.errors import TooManyDeadLetters

SHARE_AFTER = 100
"""Of fewer records than these a share says nothing."""

_ERROR_SHOWN = 500


@dataclass(frozen=True)
class DeadLetterLimit:
    """The numbers up to which a topic's dead letters are tolerated; a share of 1 tolerates any."""

    in_a_row: int
    share: float


class DeadLetterCount:
    """The dead letters of a topic's one partition, by offset.

    All offsets are there, so the offset of a record also tells how many records there were up to it.
    """

    def __init__(self, run: str, topic: str, limit: DeadLetterLimit) -> None:
        self._run = run
        self._topic = topic
        self._limit = limit
        self._last = -1
        self._in_a_row = 0
        self._total = 0

    def recover(self, dead: Collection[int], applied: int) -> None:
        """Begin behind the offset `applied`, with the dead letters of these offsets on the log; later ones come again.

        So neither a restart nor a crash loop begins at nothing, and no letter that stands twice counts twice.
        """
        before = {offset for offset in dead if offset <= applied}
        self._last, self._in_a_row, self._total = applied, 0, len(before)
        while applied - self._in_a_row in before:
            self._in_a_row += 1

    def add(self, offset: int, error: Exception) -> None:
        """Count the record at this offset, once however often it comes.

        Raises TooManyDeadLetters, and counts nothing, when it is one too many: it is then not to be dead-lettered.
        """
        if self._in_a_row and offset == self._last:
            return
        in_a_row = self._in_a_row + 1 if offset == self._last + 1 else 1
        total, seen = self._total + 1, offset + 1
        if in_a_row > self._limit.in_a_row:
            self._stop(offset, error, f"{in_a_row} in a row", f"dead_letters_in_a_row={self._limit.in_a_row}")
        if seen >= SHARE_AFTER and total > self._limit.share * seen:
            self._stop(offset, error, f"{total} of {seen} records", f"dead_letter_share={self._limit.share:g}")
        self._last, self._in_a_row, self._total = offset, in_a_row, total

    def _stop(self, offset: int, error: Exception, found: str, setting: str) -> None:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:_ERROR_SHOWN].removesuffix(".")
        raise TooManyDeadLetters(
            f"Too many dead letters: with offset {offset} of {self._topic} they would be {found}, and {setting}. The "
            f"last error: {said}. Nothing is lost, and that record is the next to be read. Mend the cause, in this "
            "program or in what wrote the records, and start the worker again; `sedi dlq retry --all "
            f"--run {self._run}` then puts the dead letters back, which count no more. If so many records are wrong in "
            "themselves, raise that setting."
        )
