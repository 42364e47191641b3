"""What a session of a training did, counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.trainer.engine import StepNumbers
from consumers.trainer.templates import Encoded
from streams.core.batches import Batch


@dataclass
class Counts:
    """Numbers of this session; TrainSummary says what each is."""

    steps: int = 0
    rows: int = 0
    borrowed: int = 0
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    without_response: int = 0
    truncated: int = 0
    unreadable: int = 0
    first_loss: float | None = None
    last_loss: float | None = None

    def add(self, batch: Batch, rows: Sequence[Encoded], numbers: StepNumbers) -> None:
        """Count one step."""
        self.steps += 1
        self.rows += len(batch)
        self.borrowed += sum(placed.borrowed for placed in batch)
        self.tokens += numbers.tokens
        self.seconds += numbers.seconds
        self.skipped += not numbers.updated
        self.without_response += sum(not row.response for row in rows)
        self.truncated += sum(row.truncated for row in rows)
        if numbers.loss is not None:
            self.first_loss = numbers.loss if self.first_loss is None else self.first_loss
            self.last_loss = numbers.loss
