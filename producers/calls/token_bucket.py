"""A token bucket that fills at a rate a minute.

Its capacity is one second's worth, so no minute exceeds the rate by more than that. One call may take more than the
capacity: the level then goes below zero, and the next call waits until it has filled again.
"""

from dataclasses import dataclass

from schemas.errors import ConfigurationError


@dataclass
class TokenBucket:
    """The state: `level` at the time `at`, in seconds of any monotonic clock."""

    per_minute: float
    level: float = 0.0
    at: float | None = None

    def __post_init__(self) -> None:
        if not self.per_minute > 0:
            raise ConfigurationError(f"A rate is {self.per_minute:g} a minute; it must be above 0.")
        self.level = self._capacity

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until this amount can be taken; 0: now."""
        self._fill(now)
        missing = min(amount, self._capacity) - self.level
        return max(0.0, missing * 60.0 / self.per_minute)

    def take(self, amount: float, now: float) -> None:
        """Take an amount, below zero if need be."""
        self._fill(now)
        self.level -= amount

    def give_back(self, amount: float) -> None:
        """Return what was taken and not used."""
        self.level = min(self.level + amount, self._capacity)

    @property
    def _capacity(self) -> float:
        return max(1.0, self.per_minute / 60.0)

    def _fill(self, now: float) -> None:
        if self.at is not None:
            self.level = min(self.level + max(0.0, now - self.at) * self.per_minute / 60.0, self._capacity)
        self.at = now
