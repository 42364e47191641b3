"""A circuit breaker: after repeated failures no call is made for a while, then one probe at a time.

While it is closed, calls go through. After `failures` in a row it opens, and no call is made for a while. Then it is
half open: one call, the probe, goes through. If the probe is answered, the breaker closes; if it fails, the breaker
opens for twice as long, up to `longest_s`. Each opening and closing is reported once. A 429 is no failure here, because
the endpoint works and says when to come back. An answer to a call made before it opened closes it too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class CircuitBreaker:
    """The state. `now` is in seconds of any monotonic clock.

    failed_probes   probes that failed in a row since it opened
    """

    failures: int = 10
    first_s: float = 5.0
    longest_s: float = 60.0
    notify: Callable[[str], None] = lambda _: None
    failed_probes: int = 0
    _in_a_row: int = field(default=0, repr=False)
    _open_until: float | None = field(default=None, repr=False)
    _probing: bool = field(default=False, repr=False)

    @property
    def open(self) -> bool:
        """Whether no call but the probe is made."""
        return self._open_until is not None

    def wait_s(self, now: float) -> float | None:
        """Seconds until the next call may be made; None while a probe is in flight."""
        if self._open_until is None:
            return 0.0
        return None if self._probing else max(0.0, self._open_until - now)

    def begin(self) -> bool:
        """A call begins. Returns whether it is the probe."""
        self._probing = self.open
        return self._probing

    def abandon(self, *, probe: bool) -> None:
        """A call that had begun was not made."""
        self._probing = self._probing and not probe

    def answered(self) -> None:
        """The endpoint answered a call, or refused it with a 429."""
        self._in_a_row = self.failed_probes = 0
        self._probing = False
        if self._open_until is not None:
            self._open_until = None
            self.notify("The endpoint answers again; going on.")

    def failed(self, now: float, *, probe: bool, error: str) -> None:
        """A call failed."""
        self._in_a_row += 1
        if probe:
            self._probing = False
            self.failed_probes += 1
            self._open_until = now + min(self.first_s * 2.0 ** min(self.failed_probes, 30), self.longest_s)
        elif not self.open and self._in_a_row >= self.failures:
            self._open_until = now + self.first_s
            self.notify(
                f"The endpoint has failed {self._in_a_row} times in a row (last: {error}). Calls wait; one is made "
                f"every {self.first_s:g} to {self.longest_s:g} s to see whether it answers again."
            )
