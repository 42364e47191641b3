"""Ends a training after too many steps in a row whose loss or gradient is not finite."""

from collections.abc import Sequence

from schemas.errors import TrainerError


class NonfiniteGuard:
    """Counts discarded updates in a row. A batch without a response token neither counts nor resets the count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._steps: list[int] = []

    def add(self, step: int, *, updated: bool, tokens: int, rows: Sequence[str]) -> None:
        """Count a step; `rows` are the ids of its batch. Raises TrainerError at the `limit`-th in a row."""
        if updated:
            self._steps.clear()
        elif tokens:
            self._steps.append(step)
        if len(self._steps) >= self._limit:
            raise TrainerError(
                f"{len(self._steps)} steps in a row (from {self._steps[0]} on) had a loss or a gradient that is not "
                f"finite, and were skipped; the last one's rows are {', '.join(rows)}. The weights did not change, so "
                "the checkpoints are good. Start again with a smaller --lr or with --clip 1. If the first step failed "
                "already, check the model, or use --precision fp32. --max-skipped sets how many may be skipped."
            )
