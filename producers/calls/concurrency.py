"""How many calls may be under way at once: additive increase, multiplicative decrease (AIMD).

Outcomes are taken in rounds of as many as may be under way. After a round in which all went well `step` more are let
in. After one in which some met a busy endpoint (429, 5xx, time-out) the number shrinks by half of their share: a round
in which all were refused halves it, one in which a tenth were takes a twentieth. So overload is answered at once, and
faults that come at random, at an endpoint that has room, cost little.
"""

from dataclasses import dataclass

from schemas.errors import ConfigurationError


@dataclass
class Concurrency:
    """The state: `limit` calls may be under way, between `least` and `most`; it begins at `start`, `most` by default.

    step   more a round; by default a sixteenth of `most`, at least 1
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
                f"Calls under way are to be at least {self.least}, {start} at first and at most {self.most}, and "
                f"{self._step:g} more a round; give 1 <= least <= start <= most, and more than 0."
            )
        self._limit = float(start)

    @property
    def limit(self) -> int:
        """Calls that may be under way now."""
        return int(self._limit)

    def allow(self, level: int) -> None:
        """Let so many be under way from now on, and at most."""
        self.most, self._limit = level, float(level)
        self._busy = self._ended = 0

    def ended(self, *, busy: bool) -> None:
        """A call has ended; `busy` when the endpoint had no room for it."""
        self._ended += 1
        self._busy += busy
        if self._ended < self.limit:
            return
        grown = self._limit + (0.0 if self._busy == self._ended else self._step)
        self._limit = min(max(grown * (1 - self._busy / self._ended / 2), float(self.least)), float(self.most))
        self._busy = self._ended = 0
