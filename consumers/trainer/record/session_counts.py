"""Counts of one session of a training."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.trainer.data.batches import TrainedRow
from consumers.trainer.engine.step import StepNumbers


@dataclass
class SessionCounts:
    """Numbers of a session, by their names in TrainSummary, which describes them."""

    steps_now: int = 0
    rows: int = 0
    borrowed: int = 0
    tokens: int = 0
    seconds: float = 0.0
    skipped_steps: int = 0
    rows_without_response: int = 0
    rows_truncated: int = 0
    around_s: float = 0.0
    waiting_s: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None

    def add(self, batch: Sequence[TrainedRow], numbers: StepNumbers, clusters: int) -> None:
        """Count a step of a run with so many clusters."""
        self.steps_now += 1
        self.rows += len(batch)
        self.borrowed += sum(each.row.is_borrowed(clusters) for each in batch)
        self.tokens += numbers.tokens
        self.seconds += numbers.seconds
        self.skipped_steps += not numbers.updated
        self.rows_without_response += sum(not each.response for each in batch)
        self.rows_truncated += sum(each.truncated for each in batch)
        if numbers.loss is not None:
            self.first_loss = numbers.loss if self.first_loss is None else self.first_loss
            self.last_loss = numbers.loss
