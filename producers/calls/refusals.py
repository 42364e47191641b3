"""Counts refused requests in a row, and decides when they are too many.

A refused request costs its generation, and later ones may be answered. If those are refused too, the fault is in all of
them, and going on would write only empty generations. Where the endpoint blames the content of a prompt, the limit is
higher.
"""

from dataclasses import dataclass

from producers.backends.base import RequestRefused

_IN_A_ROW = 3
_FLAGGED_IN_A_ROW = 30


@dataclass
class Refusals:
    """The state: refusals since the last answer. `most_flagged`: None where what is asked may well be flagged, such as
    the harmful requests of an evaluation."""

    most_flagged: int | None = _FLAGGED_IN_A_ROW
    in_a_row: int = 0
    flagged: int = 0

    def answered(self) -> None:
        """A request was answered: count from zero again."""
        self.in_a_row = self.flagged = 0

    def too_many(self, refusal: RequestRefused) -> bool:
        """Count a refusal. Returns whether there were too many in a row, this one included."""
        if refusal.reason == "flagged":
            self.flagged += 1
        else:
            self.in_a_row += 1
        return self.in_a_row > _IN_A_ROW or (self.most_flagged is not None and self.flagged > self.most_flagged)
