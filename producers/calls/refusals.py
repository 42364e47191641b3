"""Refused requests in a row, and how many of them are too many.

A request that is refused costs its generation, and those after it may be answered. If they are not either, it is not
these requests but all that are like them, and going on would write nothing but empty generations. Where the endpoint
says that it is about one prompt's content, that needs many more of them.
"""

from dataclasses import dataclass

from producers.backends.base import RequestRefused

_IN_A_ROW = 3
_FLAGGED_IN_A_ROW = 30


@dataclass
class Refusals:
    """The state: refusals since the last answer."""

    in_a_row: int = 0
    flagged: int = 0

    def answered(self) -> None:
        """A request was answered."""
        self.in_a_row = self.flagged = 0

    def too_many(self, refusal: RequestRefused) -> bool:
        """Take a refusal into account; whether there were too many in a row, this one included."""
        if refusal.reason == "flagged":
            self.flagged += 1
        else:
            self.in_a_row += 1
        return self.in_a_row > _IN_A_ROW or self.flagged > _FLAGGED_IN_A_ROW
