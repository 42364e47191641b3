"""Where a queue of rows is, so that a later start need not go through the rows before it.

Items are written in the order of their rows, so once all items before a place are on the log, a later start begins
there. A queue may pass over rows that are not its own, such as those of other clusters. So a position is good only for
a queue that takes the same ones, which `of` names.
"""

from collections import deque
from dataclasses import dataclass, field

from schemas.events import InstructionKept


@dataclass(frozen=True)
class RowsPosition:
    """Where a reader of rows is (`producers.calls.kept_rows`, `producers.calls.answered_rows`).

    decided, total     the last generation known to be decided, and the rows kept up to there
    rejected_offset    of the next record of `rejected`
    offsets, last      of each partition of `kept`, the next offset, and the last row's place in the run's order
    answer_offsets     of each partition of `answered`, the next offset
    waiting, unused    the row that waits for its answer, and how many were passed over
    """

    decided: int
    total: int
    rejected_offset: int
    offsets: dict[int, int]
    last: dict[int, tuple[int, int]]
    answer_offsets: dict[int, int] = field(default_factory=dict)
    waiting: InstructionKept | None = None
    unused: int = 0


@dataclass(frozen=True)
class QueuePosition:
    """Where a queue is: of which rows it takes, how many it has gone through and taken, and where their reader is."""

    of: str
    processed: int
    taken: int
    rows: RowsPosition


@dataclass
class ReachedPosition:
    """The last position that all items before it are done at. `given`: items that the queue has given so far."""

    given: int = 0
    reached: QueuePosition | None = None
    _marks: deque[tuple[int, QueuePosition]] = field(default_factory=deque)

    def mark(self, position: QueuePosition) -> None:
        """The queue is at a position, after the items that it has given: of several after as many, the last is held."""
        if self._marks and self._marks[-1][0] == self.given:
            self._marks.pop()
        self._marks.append((self.given, position))

    def finished(self, items: int) -> QueuePosition | None:
        """So many of the given items, from the first one on, are done. The position that is reached; None: none yet."""
        while self._marks and self._marks[0][0] <= items:
            self.reached = self._marks.popleft()[1]
        return self.reached
