"""Held-out rows: how well the trainee answers what it is not trained on.

The number is the mean loss over the response tokens of all rows, without a gradient: the same measure as a step's loss,
so the two can be compared. The ranks share the rows; all must call `measure` at the same step. Nothing random is drawn,
so a training with evaluations trains the same as one without.
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
"""Summed response loss and response tokens of rows, on this rank."""


class HeldOut:
    """The held-out rows of a training."""

    def __init__(self, name: str, rows: Sequence[EncodedRow], world: ProcessGroup) -> None:
        self._name = name
        self._world = world
        self._rows = len(rows)
        self.sha256 = hashlib.sha256(repr([(row.tokens, row.prompt) for row in rows]).encode()).hexdigest()
        self._mine = rows[world.rank :: world.size]

    @classmethod
    def read(
        cls,
        path: Path,
        most: int | None,
        encode: Callable[[Instruction], EncodedRow],
        world: ProcessGroup,
        say: Say = lambda line: None,
    ) -> "HeldOut":
        """The rows of a file that have an output, at most `most`. Raises ConfigurationError when none has one."""
        return cls(path.name, [encode(row) for row in read_rows(path, most, say)], world)

    def measure(self, measure: Measure, step: int) -> HeldOutLine:
        """The loss on all rows, on every rank."""
        start = time.perf_counter()
        found = self._world.all_gather(measure(self._mine))
        loss, tokens = math.fsum(part for part, _ in found), sum(part for _, part in found)
        return HeldOutLine(
            step=step,
            loss=loss / tokens if math.isfinite(loss) else None,
            rows=self._rows,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            file=self._name,
            sha256=self.sha256,
        )
