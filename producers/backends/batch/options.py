"""How batches are made."""

from dataclasses import dataclass

from schemas.errors import ConfigurationError

MOST_REQUESTS = 10_000
"""Of one batch: the endpoint takes more, but the event that names them must fit a record."""

MOST_BYTES = 180_000_000
"""Of a batch's file: below the 200 MB that the endpoint takes."""

MOST_CALLS = 8192
"""Calls of one lane that may wait for batches."""


@dataclass(frozen=True)
class BatchOptions:
    """How a lane makes its batches.

    size       requests of a batch, at most
    linger_s   a smaller one is sent when no further request came for so long
    poll_s     between two looks at an open batch
    settle_s   before a batch that the endpoint does not list is taken as never created
    give_up    count requests of batches that the endpoint does not know as lost, and ask them again
    """

    size: int = 500
    linger_s: float = 5.0
    poll_s: float = 30.0
    settle_s: float = 30.0
    give_up: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_REQUESTS:
            raise ConfigurationError(f"The batch size is {self.size}; it must be from 1 to {MOST_REQUESTS:,}.")
        if min(self.linger_s, self.poll_s, self.settle_s) <= 0:
            raise ConfigurationError(
                f"The seconds for batches are {self.linger_s:g}, {self.poll_s:g} and {self.settle_s:g}; each must be "
                "above 0."
            )
