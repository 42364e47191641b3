"""A batch cut into passes: rows of like length together, so that little of what a pass is fed is padding.

The rows are sorted by length and cut where the cost of all passes is least: a pass costs its rows times the longest of
them, and a fixed number of tokens for being one more pass (launches, and the gradient added once more). The cut is a
function of the lengths, so it is the same whenever a batch is trained again. It changes no result: a row's loss does
not depend on which rows stand beside it, and the batch's loss is a sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PASS_COST = {"cpu": 48, "cuda": 2048}
"""Tokens that one more pass is worth, by device; see docs/decisions/trainer.md."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together, as indices into the batch, and the tokens that each is padded to."""

    rows: tuple[int, ...]
    width: int

    @property
    def fed(self) -> int:
        """Tokens that the model is fed, padding included."""
        return len(self.rows) * self.width


def cut(lengths: Sequence[int], most_rows: int, pass_cost: int) -> list[MicroBatch]:
    """The passes of a batch of rows of these lengths, longest first, at most `most_rows` in one."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    best: list[tuple[int, int]] = [(0, 0)]  # of the first n rows: least cost, and where the last pass begins
    for end in range(1, len(order) + 1):
        starts = range(max(0, end - most_rows), end)
        best.append(min((best[at][0] + pass_cost + (end - at) * lengths[order[at]], at) for at in starts))
    passes: list[MicroBatch] = []
    end = len(order)
    while end:
        start = best[end][1]
        passes.append(MicroBatch(tuple(order[start:end]), lengths[order[start]]))
        end = start
    return passes[::-1]
