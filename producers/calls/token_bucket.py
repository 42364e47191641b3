"""A rate that is held: a token bucket that fills by so many a minute.

It holds one second's worth, so that in no minute more than that is taken above the rate. What one call takes may be
more than the bucket holds: then it runs into debt, and the next waits until that is paid.
"""

from dataclasses import dataclass

from schemas.errors import ConfigurationError


@dataclass
class TokenBucket:
    """The state: `level` at the time `at` (seconds of any clock that does not go back)."""

    per_minute: float
    level: float = 0.0
    at: float | None = None

    def __post_init__(self) -> None:
        if not self.per_minute > 0:
            raise ConfigurationError(f"A rate is {self.per_minute:g} a minute; it must be more than 0.")
        self.level = self._holds

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until so much can be taken; 0 when it can be now."""
        self._fill(now)
        missing = min(amount, self._holds) - self.level
        return max(0.0, missing * 60.0 / self.per_minute)

    def take(self, amount: float, now: float) -> None:
        """Take it, into debt if need be."""
        self._fill(now)
        self.level -= amount

    def give_back(self, amount: float) -> None:
        """What was taken and not used."""
        self.level = min(self.level + amount, self._holds)

    @property
    def _holds(self) -> float:
        return max(1.0, self.per_minute / 60.0)

    def _fill(self, now: float) -> None:
        if self.at is not None:
            self.level = min(self.level + max(0.0, now - self.at) * self.per_minute / 60.0, self._holds)
        self.at = now
