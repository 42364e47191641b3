"""Whether and when a failed request is retried: by the kind of failure, with exponential backoff and jitter.

A request whose attempts are used up ends the generator, unless retries are unlimited (`forever`) or the request itself
is at fault: others were answered meanwhile, or each of its answers was paid for and none could be read.
"""

import random
from dataclasses import dataclass

from producers.backends.base import CallFailure, EndpointRefused, FailureKind, RequestRefused, Transient
from producers.calls.circuit_breaker import CircuitBreaker

_BACKOFF = {  # factors of the first pause
    FailureKind.RATE_LIMITED: 2.0,  # too many calls: back off longer than after a fault
    FailureKind.SERVER_ERROR: 1.0,
    FailureKind.TIME_OUT: 1.0,
    FailureKind.UNREACHABLE: 1.0,
    FailureKind.GARBLED: 0.25,  # one bad answer says little about the next
}

# Failures that may lie in the request: the endpoint is there, and does not say that it is busy.
_ANSWERED = {FailureKind.SERVER_ERROR, FailureKind.TIME_OUT, FailureKind.GARBLED}


@dataclass(frozen=True)
class Retries:
    """How often a request is attempted, and the pauses in between.

    The k-th pause is drawn between 0 and `first_pause_s` × 2^(k-1) (more after a 429, less after a garbled body), at
    most `longest_pause_s`. A longer pause that the endpoint asks for is granted up to `longest_asked_s`.

    forever   wait for an endpoint that is down, however long it asks for; a request whose attempts are used up while
              others are answered counts as refused

    A request that used up its attempts in an earlier start, and does so again while the endpoint answers, counts as
    refused: else every start of a lane that asks one call at a time would end at it.
    """

    attempts: int = 8
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    longest_asked_s: float = 300.0
    forever: bool = False

    def pause(self, failures: int, failure: CallFailure, rng: random.Random) -> float:
        """Seconds to wait after a request's `failures`-th failure, which this is."""
        factor = _BACKOFF[failure.kind] if isinstance(failure, Transient) else 1.0
        longest = min(self.first_pause_s * factor * 2.0 ** min(failures - 1, 30), self.longest_pause_s)
        return max(rng.uniform(0.0, longest), failure.retry_after_s or 0.0)

    def should_retry(
        self, failure: CallFailure, failures: int, breaker: CircuitBreaker, *, others_answered: bool
    ) -> bool:
        """Whether another attempt is made.

        others_answered   whether the same backend answered other requests since this one was first asked
        """
        if not failure.retryable:
            return False
        if self.forever:
            return failures < self.attempts or not others_answered or breaker.open
        used_up = max(failures, breaker.failed_probes) >= self.attempts
        return not used_up and (failure.retry_after_s or 0.0) <= self.longest_asked_s

    def final(
        self, failure: CallFailure, failures: int, *, others_answered: bool = False, attempts_before: int = 0
    ) -> CallFailure:
        """The error to raise for a failure that is not retried; it says why not.

        attempts_before   attempts at the same request by earlier starts of the generator
        """
        if not isinstance(failure, Transient):
            return failure
        if (self.forever or others_answered) and (self.forever or failure.kind is not FailureKind.RATE_LIMITED):
            text = f"{failure} This was attempt {failures}, and other requests were answered meanwhile."
            return RequestRefused(text, status=failure.status)
        if failure.kind is FailureKind.GARBLED and failure.usage is not None:
            text = f"{failure} This was attempt {failures}; each was paid for, and nothing could be read from any."
            return RequestRefused(text, status=failure.status)
        if failure.kind in _ANSWERED and attempts_before >= self.attempts:
            text = f"{failure} This was attempt {failures}, after {attempts_before} in earlier starts of the generator."
            return RequestRefused(text, status=failure.status)
        if (failure.retry_after_s or 0.0) > self.longest_asked_s:
            text = f"{failure} It asks to wait {failure.retry_after_s:.0f} s: start again then."
            return EndpointRefused(text, status=failure.status)
        text = f"{failure} This was attempt {failures} in a row, the last one. Start again to continue."
        return Transient(text, status=failure.status, kind=failure.kind)
