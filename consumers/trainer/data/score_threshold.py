"""Rows that wait for their score: those with enough go on in the order they came, the others are passed over.

A row without a judgement holds back the later ones of its cluster, so which rows are trained, and in which order,
depends on the log alone and not on how far the judge was. The first judgement of a row counts.
"""

from collections import deque
from collections.abc import Iterable

from schemas.events import InstructionJudged
from streams.core.batches import KeptRow
from streams.core.judging import Judgements


class ScoreThreshold:
    """At least `least` from `judge`; None: the first judge on the log."""

    def __init__(self, least: float, judge: str | None) -> None:
        self._least = least
        self._judgements = Judgements(judge)
        self._waiting: dict[int, deque[KeptRow]] = {}

    @property
    def waiting(self) -> int:
        """Rows without a judgement, and those behind them."""
        return sum(map(len, self._waiting.values()))

    def apply(self, event: InstructionJudged) -> None:
        self._judgements.apply(event)

    def admitted(self, rows: Iterable[KeptRow]) -> list[KeptRow]:
        """Take rows in; those that can go on now, of these and of the earlier ones."""
        for row in rows:
            self._waiting.setdefault(row.kept.cluster, deque()).append(row)
        found = []
        for waiting in self._waiting.values():
            while waiting and (admits := self._judgements.admits(waiting[0].kept.id, self._least)) is not None:
                row = waiting.popleft()
                if admits:
                    found.append(row)
        return found

    def forget_rows(self) -> None:
        """A new pass begins; judgements stay."""
        self._waiting = {}
