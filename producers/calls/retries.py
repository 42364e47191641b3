"""Whether a failed request is attempted again, and after how long: by what kept it from being answered, with jitter.

A request whose attempts are used up ends the generator, unless it is to go on for ever, or it is this request that is
at fault: others were answered meanwhile, or each of its answers was paid for and none could be read.
"""

import random
from dataclasses import dataclass

from producers.backends.base import CallFailure, EndpointRefused, FailureKind, RequestRefused, Transient
from producers.calls.circuit_breaker import CircuitBreaker

_TIMES = {
    FailureKind.RATE_LIMITED: 2.0,  # there are too many of us: come back later than one who met a fault
    FailureKind.SERVER_ERROR: 1.0,
    FailureKind.TIME_OUT: 1.0,
    FailureKind.UNREACHABLE: 1.0,
    FailureKind.GARBLED: 0.25,  # this answer was spoiled; nothing says that the next will be
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

    def again(self, failure: CallFailure, failures: int, breaker: CircuitBreaker, *, others: bool) -> bool:
        """Whether another attempt is made; `others`: requests that were answered since this one was first asked."""
        if not failure.retryable:
            return False
        if self.forever:
            return failures < self.attempts or not others or breaker.open
        used_up = max(failures, breaker.failed_probes) >= self.attempts
        return not used_up and (failure.retry_after_s or 0.0) <= self.longest_asked_s

    def final(self, failure: CallFailure, failures: int, *, others: bool = False) -> CallFailure:
        """What is raised for a failure that is not attempted again: it says why not; `others` as in `again`."""
        if not isinstance(failure, Transient):
            return failure
        if (self.forever or others) and (self.forever or failure.kind is not FailureKind.RATE_LIMITED):
            text = f"{failure} This was attempt {failures}, and other requests were answered meanwhile."
            return RequestRefused(text, status=failure.status)
        if failure.kind is FailureKind.GARBLED and failure.usage is not None:
            text = f"{failure} This was attempt {failures}; each was paid for, and nothing could be read from any."
            return RequestRefused(text, status=failure.status)
        if (failure.retry_after_s or 0.0) > self.longest_asked_s:
            text = f"{failure} It asks to wait {failure.retry_after_s:.0f} s: start again then."
            return EndpointRefused(text, status=failure.status)
        text = f"{failure} This was attempt {failures} in a row, the last that is made. Start again to go on."
        return Transient(text, status=failure.status, kind=failure.kind)
