"""Steps in a row that changed nothing: after too many of them going on would only burn time."""

from collections.abc import Sequence

from schemas.errors import TrainerError


class NonfiniteGuard:
    """Counts steps that were thrown away because their loss or gradient was not finite; raises at the `most`-th.

    A batch without a response token is no sign of anything and neither counts nor ends a streak.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._steps: list[int] = []

    def add(self, step: int, *, updated: bool, tokens: int, rows: Sequence[str]) -> None:
        """Take a step; `rows` are the ids of its batch. Raises TrainerError when the streak has become too long."""
        if updated:
            self._steps.clear()
        elif tokens:
            self._steps.append(step)
        if len(self._steps) >= self._most:
            raise TrainerError(
                f"{len(self._steps)} steps in a row (from {self._steps[0]} on) had a loss or a gradient that is not "
                f"finite, and were thrown away; the last one's rows are {', '.join(rows)}. They changed nothing: the "
                "checkpoints are as good as they were. Start again with a smaller --lr or with --clip 1; if the first "
                "step failed already, look at the model, or take --precision fp32. --max-skipped says how many."
            )
