"""When the next call of a lane may be made: concurrency, rates, a pause that the endpoint asked for, the breaker.

Pure but for what it is told: every question and every outcome comes with the time. A call is begun with `begin` once
`wait_s` is 0, and ended with `end`, or with `abandon` when it was not made after all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from producers.backends.base import Answer, CallFailure, Transient
from producers.calls.circuit_breaker import CircuitBreaker
from producers.calls.concurrency import Concurrency
from producers.calls.explorer import CallStart, Explorer
from producers.calls.token_bucket import TokenBucket
from schemas.events import Usage

_SAID_S = 2.0


@dataclass(frozen=True)
class RateOptions:
    """How fast a lane asks.

    start, least, step                        of the calls under way (`producers.calls.concurrency`)
    rpm, tpm                                  calls and tokens a minute, at most; None: as many as there is room for
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
    """A call that was begun: what it may take in tokens, and whether it is the breaker's probe.

    start   for the explorer, where there is one
    """

    tokens: int
    probe: bool
    start: CallStart | None = None


class RateControl:
    """The state of one lane's calls; at most `most` are under way."""

    def __init__(
        self,
        options: RateOptions,
        most: int,
        say: Callable[[str], None] = lambda _: None,
        explorer: Explorer | None = None,
    ) -> None:
        self.most = most
        self.explorer = explorer
        start = options.start if explorer is None else explorer.level
        self.concurrency = Concurrency(most, start, options.least, options.step)
        if explorer is not None:
            self.concurrency.allow(explorer.level)
        self.breaker = CircuitBreaker(options.breaker_failures, options.breaker_first_s, options.breaker_longest_s, say)
        self.under_way = 0
        self._calls = None if options.rpm is None else TokenBucket(options.rpm)
        self._tokens = None if options.tpm is None else TokenBucket(options.tpm)
        self._not_before = 0.0
        self._say = say

    def wait_s(self, tokens: int, now: float) -> float | None:
        """Seconds until a call that may take so many tokens may begin; None: not before one under way has ended."""
        if self.under_way >= self.concurrency.limit:
            return None
        broken = self.breaker.wait_s(now)
        if broken is None:
            return None
        calls = 0.0 if self._calls is None else self._calls.wait_s(1, now)
        spent = 0.0 if self._tokens is None else self._tokens.wait_s(tokens, now)
        return max(0.0, self._not_before - now, broken, calls, spent)

    def begin(self, tokens: int, now: float) -> Ticket:
        """A call is made."""
        self.under_way += 1
        if self._calls is not None:
            self._calls.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        start = None if self.explorer is None else self.explorer.begun(now)
        return Ticket(tokens, self.breaker.begin(), start)

    def abandon(self, ticket: Ticket) -> None:
        """The call was not made after all."""
        self.under_way -= 1
        if self.explorer is not None:
            self.explorer.ended()
        self.breaker.abandon(probe=ticket.probe)
        if self._calls is not None:
            self._calls.give_back(1)
        if self._tokens is not None:
            self._tokens.give_back(ticket.tokens)

    def end(self, ticket: Ticket, outcome: Answer | CallFailure | None, now: float) -> None:
        """The call has ended; None: it was given up."""
        self.under_way -= 1
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
        """Let the explorer see an outcome, and let in as many as it says."""
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
        """Give back what was taken and is known not to have been used."""
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
        """Begin no call for so long. It is said when that is a while, and longer than was said before."""
        until = now + seconds
        if seconds >= _SAID_S and until > max(now, self._not_before) + _SAID_S:
            self._say(f"The endpoint asks to wait {seconds:.0f} s; no call begins until then ({failure})")
        self._not_before = max(self._not_before, until)
