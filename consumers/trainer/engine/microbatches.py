"""Splits a batch into micro-batches of rows of like length, so that little of the input is padding.

The rows are sorted by length and split where the total cost is least. A micro-batch costs its rows times the longest of
them, and a fixed number of tokens more (kernel launches, one more addition of the gradient). The split is a function of
the lengths, so a batch that is trained again is split in the same way. It changes no result: a row's loss does not
depend on the rows beside it, and the batch's loss is a sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MICRO_BATCH_COST = {"cpu": 48, "cuda": 2048}
"""Tokens that one more micro-batch is worth, by device; see docs/decisions/trainer.md."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together, as indices into the batch; each is padded to `width` tokens."""

    rows: tuple[int, ...]
    width: int

    @property
    def fed(self) -> int:
        """Tokens of the model's input, padding included."""
        return len(self.rows) * self.width


def split(lengths: Sequence[int], max_rows: int, cost: int) -> list[MicroBatch]:
    """Micro-batches of at most `max_rows` rows of these lengths, longest first; each costs `cost` tokens more."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    best: list[tuple[int, int]] = [(0, 0)]  # of the first n rows: least cost, and where the last micro-batch begins
    for end in range(1, len(order) + 1):
        starts = range(max(0, end - max_rows), end)
        best.append(min((best[at][0] + cost + (end - at) * lengths[order[at]], at) for at in starts))
    micro_batches: list[MicroBatch] = []
    end = len(order)
    while end:
        start = best[end][1]
        micro_batches.append(MicroBatch(tuple(order[start:end]), lengths[order[start]]))
        end = start
    return micro_batches[::-1]
