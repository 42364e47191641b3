"""How many calls may be in flight: additive increase, multiplicative decrease (AIMD).

Outcomes are counted in rounds of `limit` calls. After a round without busy responses (429, 5xx, time-out) the limit
grows by `step`. Otherwise it shrinks by half of their share: if all were busy it halves, if a tenth were it loses a
twentieth. So the limit reacts to overload at once, while random faults of an endpoint with free capacity cost little.
"""

from dataclasses import dataclass

from schemas.errors import ConfigurationError


@dataclass
class Concurrency:
    """The state: `limit` calls may be in flight, between `least` and `most`; it begins at `start`, by default `most`.

    step   growth a round; by default a sixteenth of `most`, at least 1
    """

    most: int
    start: int | None = None
    least: int = 1
    step: float | None = None
    _busy: int = 0
    _ended: int = 0

    def __post_init__(self) -> None:
        start = self.most if self.start is None else self.start
        self._step = max(1.0, self.most / 16) if self.step is None else self.step
        if not 1 <= self.least <= start <= self.most or self._step <= 0:
            raise ConfigurationError(
                f"Calls in flight: at least {self.least}, {start} at first, at most {self.most}, {self._step:g} more a "
                "round. Set 1 <= least <= start <= most, and a step above 0."
            )
        self._limit = float(start)

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    def allow(self, level: int) -> None:
        """Set the limit, and the most it may grow to."""
        self.most, self._limit = level, float(level)
        self._busy = self._ended = 0

    def ended(self, *, busy: bool) -> None:
        """A call ended; `busy`: the endpoint had no capacity for it."""
        self._ended += 1
        self._busy += busy
        if self._ended < self.limit:
            return
        grown = self._limit + (0.0 if self._busy == self._ended else self._step)
        self._limit = min(max(grown * (1 - self._busy / self._ended / 2), float(self.least)), float(self.most))
        self._busy = self._ended = 0
