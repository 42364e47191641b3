"""The held-out loss: the model's loss on rows that it is not trained on.

It is the mean loss over the response tokens of all rows, as a step's loss is, so the two can be compared. The ranks
share the rows. No random numbers are drawn, so evaluations do not change the training.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from consumers.trainer.data.row_file import Say, read_rows
from consumers.trainer.data.templates import EncodedRow
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.record.metrics import HeldOutLine
from schemas.events import Instruction

Measure = Callable[[Sequence[EncodedRow]], tuple[float, int]]
"""Gives the summed response loss and the number of response tokens of this rank's rows."""


class HeldOut:
    """The held-out rows of a training. `sha256` is of their tokens."""

    def __init__(self, name: str, rows: Sequence[EncodedRow], group: ProcessGroup) -> None:
        self._name = name
        self._group = group
        self._rows = len(rows)
        self.sha256 = hashlib.sha256(repr([(row.tokens, row.prompt) for row in rows]).encode()).hexdigest()
        self._mine = rows[group.rank :: group.size]

    @classmethod
    def read(
        cls,
        path: Path,
        limit: int | None,
        encode: Callable[[Instruction], EncodedRow],
        group: ProcessGroup,
        say: Say = lambda line: None,
    ) -> "HeldOut":
        """The rows of a file that have an output, at most `limit`. Raises ConfigurationError when no row has one."""
        return cls(path.name, [encode(row) for row in read_rows(path, limit, say)], group)

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
