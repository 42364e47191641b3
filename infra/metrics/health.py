"""Whether a process is alive, and ready.

Alive: its main loop has turned within the time that a stall takes. Ready: it says that it does its work, and the
cluster answers. Both are asked from outside, so they must be quick and must not fail.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Health:
    """The answer to one question, and why, in a sentence."""

    good: bool
    why: str


@dataclass
class Heartbeat:
    """Counts the turns of a main loop. `beat` at every turn.

    limit_s   seconds without a turn after which it counts as stuck
    """

    limit_s: float
    clock: Callable[[], float] = time.monotonic
    _last: float | None = None

    def beat(self) -> None:
        self._last = self.clock()

    @property
    def begun(self) -> bool:
        return self._last is not None

    @property
    def age_s(self) -> float:
        """Seconds since the last turn; 0 before the first."""
        return 0.0 if self._last is None else max(0.0, self.clock() - self._last)

    @property
    def stuck(self) -> bool:
        return self.age_s > self.limit_s


@dataclass
class ProcessHealth:
    """The health of one process.

    reachable   whether the cluster answers, which may take a second; asked at most every `every_s` seconds
    """

    heartbeat: Heartbeat
    reachable: Callable[[], bool] = lambda: True
    every_s: float = 5.0
    _ready: Health = Health(False, "starting")
    _asked: tuple[float, bool] | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def ready(self, why: str) -> None:
        """From now on it does its work, or waits to do it."""
        self._ready = Health(True, why)

    def not_ready(self, why: str) -> None:
        self._ready = Health(False, why)

    def is_alive(self) -> Health:
        age = self.heartbeat.age_s
        if self.heartbeat.stuck:
            return Health(False, f"the main loop has not turned for {age:.0f} s")
        return Health(True, "the main loop turns" if self.heartbeat.begun else "the main loop has not begun")

    def is_ready(self) -> Health:
        alive = self.is_alive()
        if not alive.good or not self._ready.good:
            return self._ready if alive.good else alive
        return self._ready if self._reachable() else Health(False, "the cluster does not answer")

    def _reachable(self) -> bool:
        with self._asking:
            now = time.monotonic()
            if self._asked is None or now - self._asked[0] > self.every_s:
                self._asked = now, self.reachable()
            return self._asked[1]
