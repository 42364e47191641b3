"""The held-out loss: the model's loss on rows that it is not trained on.

It is the mean loss over the response tokens of all rows, as a step's loss is, so the two can be compared. The ranks
share the rows. No random numbers are drawn, so evaluations do not change the training.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.record.metrics import HeldOutLine
from infra.models.templates import EncodedRow

Measure = Callable[[Sequence[EncodedRow]], tuple[float, int]]
"""Gives the summed response loss and the number of response tokens of this rank's rows."""


class HeldOut:
    """The held-out rows of a training, from the file `name`. `sha256` is of their tokens."""

    def __init__(self, name: str, rows: Sequence[EncodedRow], group: ProcessGroup) -> None:
        self._name = name
        self._group = group
        self._rows = len(rows)
        self.sha256 = hashlib.sha256(repr([(row.tokens, row.prompt) for row in rows]).encode()).hexdigest()
        self._mine = rows[group.rank :: group.size]

    def measure(self, measure: Measure, step: int) -> HeldOutLine:
        """The held-out loss after a step, on every rank (all ranks)."""
        start = time.perf_counter()
        parts = self._group.all_gather(measure(self._mine))
        loss, tokens = math.fsum(part for part, _ in parts), sum(part for _, part in parts)
        return HeldOutLine(
            step=step,
            loss=loss / tokens if math.isfinite(loss) else None,
            rows=self._rows,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            file=self._name,
            sha256=self.sha256,
        )
