"""When the next call of a lane may begin: concurrency, rates, pauses that the endpoint asks for, circuit breaker.

Times are arguments; no clock is read. Use `begin` once `wait_s` is 0; then `end`, or `abandon` if no call was made.
"""

from collections.abc import Callable
from dataclasses import dataclass

from producers.backends.base import Answer, CallFailure, Transient
from producers.calls.call_meter import CallStart
from producers.calls.circuit_breaker import CircuitBreaker
from producers.calls.concurrency import Concurrency
from producers.calls.explorer import Explorer
from producers.calls.token_bucket import TokenBucket
from schemas.events import Usage

_REPORTED_S = 2.0  # shorter pauses are not reported


@dataclass(frozen=True)
class RateOptions:
    """How fast a lane makes calls.

    start, least, step                        of the calls in flight (`producers.calls.concurrency`)
    rpm, tpm                                  calls and tokens a minute, at most; None: no limit
    breaker_failures, _first_s, _longest_s    see `producers.calls.circuit_breaker`
    """

    start: int | None = None
    least: int = 1
    step: float | None = None
    rpm: float | None = None
    tpm: float | None = None
    breaker_failures: int = 10
    breaker_first_s: float = 5.0
    breaker_longest_s: float = 60.0


@dataclass(frozen=True)
class Ticket:
    """A call that has begun: the tokens it may take, and whether it is the circuit breaker's probe.

    start   for the explorer, if there is one
    """

    tokens: int
    probe: bool
    start: CallStart | None = None


class RateControl:
    """The state of one lane's calls; at most `most` are in flight."""

    def __init__(
        self,
        options: RateOptions,
        most: int,
        notify: Callable[[str], None] = lambda _: None,
        explorer: Explorer | None = None,
    ) -> None:
        self.most = most
        self._options = options
        self.explorer = explorer
        start = options.start if explorer is None else explorer.level
        self.concurrency = Concurrency(most, start, options.least, options.step)
        if explorer is not None:
            self.concurrency.allow(explorer.level)
        self.breaker = CircuitBreaker(
            options.breaker_failures, options.breaker_first_s, options.breaker_longest_s, notify
        )
        self.in_flight = 0
        self._calls = None if options.rpm is None else TokenBucket(options.rpm)
        self._tokens = None if options.tpm is None else TokenBucket(options.tpm)
        self._not_before = 0.0
        self._notify = notify

    def another(self) -> "RateControl":
        """A new one with the same options, for another endpoint; without an explorer."""
        return RateControl(self._options, self.most, self._notify)

    def wait_s(self, tokens: int, now: float) -> float | None:
        """Seconds until a call of so many tokens may begin; None: not before one in flight has ended."""
        if self.in_flight >= self.concurrency.limit:
            return None
        broken = self.breaker.wait_s(now)
        if broken is None:
            return None
        calls = 0.0 if self._calls is None else self._calls.wait_s(1, now)
        spent = 0.0 if self._tokens is None else self._tokens.wait_s(tokens, now)
        return max(0.0, self._not_before - now, broken, calls, spent)

    def begin(self, tokens: int, now: float) -> Ticket:
        """A call begins."""
        self.in_flight += 1
        if self._calls is not None:
            self._calls.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        start = None if self.explorer is None else self.explorer.begun(now)
        return Ticket(tokens, self.breaker.begin(), start)

    def abandon(self, ticket: Ticket) -> None:
        """The call was not made."""
        self.in_flight -= 1
        if self.explorer is not None:
            self.explorer.ended()
        self.breaker.abandon(probe=ticket.probe)
        if self._calls is not None:
            self._calls.give_back(1)
        if self._tokens is not None:
            self._tokens.give_back(ticket.tokens)

    def end(self, ticket: Ticket, outcome: Answer | CallFailure | None, now: float) -> None:
        """The call has ended; None: it was cancelled."""
        self.in_flight -= 1
        self._explore(ticket, outcome, now)
        match outcome:
            case None:
                self.breaker.abandon(probe=ticket.probe)
            case Answer():
                self._used(ticket, outcome.usage)
                self.concurrency.ended(busy=False)
                self.breaker.answered()
            case CallFailure():
                self._used(ticket, outcome.usage)
                self._failed(ticket, outcome, now)

    def _explore(self, ticket: Ticket, outcome: Answer | CallFailure | None, now: float) -> None:
        """Pass an outcome to the explorer, and take over its level."""
        if self.explorer is None or ticket.start is None:
            return
        level = self.explorer.level
        match outcome:
            case Answer():
                tokens = None if outcome.usage is None else outcome.usage.completion_tokens
                self.explorer.answered(ticket.start, now, tokens)
            case Transient() if outcome.kind.busy:
                self.explorer.ended(now)
                self.explorer.busy()
            case _:
                self.explorer.ended(now)
        if self.explorer.level != level:
            self.concurrency.allow(self.explorer.level)

    def _used(self, ticket: Ticket, usage: Usage | None) -> None:
        """Return the tokens that were taken and, by the answer's usage, not used."""
        if self._tokens is not None and usage is not None:
            self._tokens.give_back(ticket.tokens - usage.prompt_tokens - usage.completion_tokens)

    def _failed(self, ticket: Ticket, failure: CallFailure, now: float) -> None:
        busy = isinstance(failure, Transient) and failure.kind.busy
        self.concurrency.ended(busy=busy)
        if failure.retry_after_s:
            self._hold(now, failure.retry_after_s, failure)
        if isinstance(failure, Transient) and failure.kind.broken:
            self.breaker.failed(now, probe=ticket.probe, error=str(failure))
        else:
            self.breaker.answered()

    def _hold(self, now: float, seconds: float, failure: CallFailure) -> None:
        """Begin no call for so long. A pause is reported if it is not short, and longer than the last reported one."""
        until = now + seconds
        if seconds >= _REPORTED_S and until > max(now, self._not_before) + _REPORTED_S:
            self._notify(f"The endpoint asks to wait {seconds:.0f} s; no call begins until then ({failure})")
        self._not_before = max(self._not_before, until)
