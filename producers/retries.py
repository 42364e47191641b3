"""Whether a failed request is attempted again, and after how long: by what kept it from being answered, with jitter."""

import random
from dataclasses import dataclass

from producers.backends.base import CallFailure, Kind, Transient

_TIMES = {
    Kind.RATE_LIMITED: 2.0,  # there are too many of us: come back later than one who met a fault
    Kind.SERVER_ERROR: 1.0,
    Kind.TIME_OUT: 1.0,
    Kind.UNREACHABLE: 1.0,
    Kind.GARBLED: 0.25,  # this answer was spoiled; nothing says that the next will be
}


@dataclass(frozen=True)
class Retries:
    """How often a request is attempted, and how long to wait in between.

    The k-th pause is drawn between 0 and `first_pause_s` × 2^(k-1) (more after a 429, less after a garbled body), at
    most `longest_pause_s`; an endpoint that asks for a longer one gets it, up to `longest_asked_s`.

    forever   an endpoint that is down is waited for, whatever it asks; a request whose attempts are used up while
              others are answered is taken as refused
    """

    attempts: int = 8
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    longest_asked_s: float = 300.0
    forever: bool = False

    def pause(self, failures: int, failure: CallFailure, rng: random.Random) -> float:
        """Seconds to wait after this many failures of a request, the last of which this was."""
        times = _TIMES[failure.kind] if isinstance(failure, Transient) else 1.0
        longest = min(self.first_pause_s * times * 2.0 ** min(failures - 1, 30), self.longest_pause_s)
        return max(rng.uniform(0.0, longest), failure.retry_after_s or 0.0)
