"""Holds rows back until they are judged: those with the least score pass in their order, the others are dropped.

A row without a judgement holds back the later rows of its cluster. So which rows are trained, and in which order,
depends on the log alone and not on how far the judge is. The first judgement of a row counts.
"""

from collections import deque
from collections.abc import Iterable

from schemas.events import InstructionJudged
from streams.core.batches import KeptRow
from streams.core.judging import Judgements


class ScoreThreshold:
    """Admits rows with at least `min_score` from `judge`; None: the first judge on the log."""

    def __init__(self, min_score: float, judge: str | None) -> None:
        self._min_score = min_score
        self._judgements = Judgements(judge)
        self._waiting: dict[int, deque[KeptRow]] = {}

    @property
    def waiting(self) -> int:
        """Number of rows without a judgement, and of those behind them."""
        return sum(map(len, self._waiting.values()))

    def apply(self, event: InstructionJudged) -> None:
        """Record a judgement."""
        self._judgements.apply(event)

    def admitted(self, rows: Iterable[KeptRow]) -> list[KeptRow]:
        """Add rows; returns those that may pass now, of these and of earlier ones."""
        for row in rows:
            self._waiting.setdefault(row.kept.cluster, deque()).append(row)
        admitted = []
        for waiting in self._waiting.values():
            while waiting and (admits := self._judgements.admits(waiting[0].kept.id, self._min_score)) is not None:
                row = waiting.popleft()
                if admits:
                    admitted.append(row)
        return admitted

    def forget_rows(self) -> None:
        """Drop all waiting rows, for a new pass; judgements stay."""
        self._waiting = {}
