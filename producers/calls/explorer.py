"""Finds by trial how many calls in flight pay off.

A level is a number of calls in flight. Calls are measured in rounds: those that began at one level and had that many in
flight all along. The first `level` calls are left out, because the server's queue is still filling. The throughput of a
level follows from Little's law: the level, times the work of the round's calls, over the seconds they took. Work is
counted in completion tokens if every answer reports them, else in answers.

From the first level on, the level doubles as long as throughput grows by the factor `PAYS`; where throughput nearly
doubled, the level grows fourfold. Where it does not grow, half of the level before is tried: a server that serves one
call at a time should have a short queue. If the first level is not clearly faster than a single call, the level shrinks
at once. Then it settles, and the next higher level is tried now and then, since a server's load changes.

Pure: call times are arguments. Busy responses (429, 5xx, time-outs) are handled by `producers.calls.concurrency`, which
takes the level as its maximum; here they only end the growth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

PAYS = 1.15
_ENOUGH = 0.93  # share of another level's throughput that counts as equal to it
_ROUND, _ROUND_UNSIZED = 12, 48  # least calls of a round; the second where answers report no tokens
_TRIED_AGAIN = 24  # rounds until a settled level is tried against the next
_FULL = 0.9  # share of the level that must be in flight, on average over a call, for it to count
_CLEAR, _DOUBLED = 1.5, 1.7  # factors of throughput


@dataclass(frozen=True)
class CallStart:
    """When a call began.

    epoch          counts the changes of the level
    number         of the call within the epoch
    call_seconds   seconds of all calls until then, summed
    """

    at: float
    epoch: int
    number: int
    call_seconds: float


@dataclass
class _CallClock:
    """`call_seconds`: seconds of all calls so far, summed."""

    in_flight: int = 0
    now: float = 0.0
    call_seconds: float = 0.0

    def change(self, now: float | None, calls: int) -> None:
        """So many calls begin (or end, if negative); without a time, at the time of the last change."""
        if now is not None:
            self.call_seconds += self.in_flight * max(0.0, now - self.now)
            self.now = max(now, self.now)
        self.in_flight += calls


@dataclass
class _Round:
    """The calls of a round."""

    calls: int = 0
    seconds: float = 0.0
    tokens: int = 0

    def add(self, seconds: float, tokens: int | None) -> None:
        self.calls += 1
        self.seconds += seconds
        self.tokens += tokens or 0


@dataclass
class Explorer:
    """The state: `level` calls may be in flight, from 1 to `most`; `notify` gets a message at each change.

    known     the level was found by an earlier start: it is settled at once
    settled   the level that was found; None before that
    rates     work and answers a second, as last measured at each level
    """

    most: int
    level: int = 8
    notify: Callable[[str], None] = lambda _: None
    known: bool = False
    settled: int | None = None
    rates: dict[int, tuple[float, float]] = field(default_factory=dict)
    _direction: int = 1  # 1: growing, -1: shrinking, 0: settled
    _before: float | None = None  # throughput of the level that a trial started from
    _from: int = 0  # that level
    _quiet: int = 0  # rounds since it settled
    _alone: float = 0.0  # throughput of the first answered call alone
    _counted: bool = True  # throughput is in tokens, which all answers so far reported; else in answers
    _epoch: int = 0
    _begun: int = 0  # calls in this epoch
    _clock: _CallClock = field(default_factory=_CallClock)
    _round: _Round = field(default_factory=_Round)

    def __post_init__(self) -> None:
        self.level = min(max(1, self.level), self.most)
        if self.known:
            self._direction, self.settled = 0, self.level

    def begun(self, now: float) -> CallStart:
        """A call begins. Pass the result to `answered`."""
        self._clock.change(now, 1)
        self._begun += 1
        return CallStart(now, self._epoch, self._begun, self._clock.call_seconds)

    def ended(self, now: float | None = None) -> None:
        """A call ended without an answer. Without a time it was not made at all."""
        self._clock.change(now, -1)

    def answered(self, start: CallStart, now: float, tokens: int | None) -> None:
        """A call ended with an answer of so many tokens; None: the answer does not report them."""
        self.ended(now)
        seconds = now - start.at
        if seconds <= 0.0:
            return
        if self._counted and not tokens:
            self._count_answers()
        self._alone = self._alone or ((tokens or 1) if self._counted else 1) / seconds
        in_flight = (self._clock.call_seconds - start.call_seconds) / seconds
        if start.epoch != self._epoch or start.number <= self.level or in_flight < _FULL * self.level:
            return
        current = self._round
        current.add(seconds, tokens)
        rate = self.level * (current.tokens if self._counted else current.calls) / current.seconds
        if current.calls >= self._round_size(rate):
            self._decide(rate, self.level * current.calls / current.seconds)

    def busy(self) -> None:
        """The endpoint had no capacity for a call: stop growing."""
        if self._direction > 0:
            self._settle(self.level if self._before is None else self._from)

    def _round_size(self, rate: float) -> int:
        """Calls of a round: more where tokens are not reported, unless the gain is clear."""
        if self._direction > 0 and self._before is None:
            return self.level
        clear = self._direction > 0 and self._before is not None and rate >= _CLEAR * self._before
        return max(_ROUND if self._counted or clear else _ROUND_UNSIZED, self.level)

    def _count_answers(self) -> None:
        """An answer does not report its tokens: from now on compare answers a second, of what was measured too."""
        self._counted, self._alone = False, 0.0
        self.rates = {level: (answers, answers) for level, (_, answers) in self.rates.items()}
        if self._before is not None:
            self._before = self.rates[self._from][0]

    def _decide(self, rate: float, answers: float) -> None:
        self._round = _Round()
        self.rates[self.level] = rate, answers
        before = self._before
        if self._direction > 0:
            if before is None and rate < _CLEAR * self._alone:
                self._back(self.level, rate)
            elif before is None or rate >= PAYS * before:
                if self.level < self.most:
                    times = 4 if before is not None and rate >= _DOUBLED * before else 2
                    self._try_from_here(min(times * self.level, self.most), rate)
                else:
                    self._settle(self.level)
            else:
                self._back(self._from, before)
        elif self._direction < 0:
            if before is not None and rate < _ENOUGH * before:
                self._settle(self._from)
            elif self.level == 1:
                self._settle(1)
            else:
                self._try_from_here(self.level // 2, max(rate, before or 0.0))
        else:
            self._quiet += 1
            if self._quiet >= _TRIED_AGAIN and self.level < self.most:
                self._direction = 1
                self._try_from_here(min(2 * self.level, self.most), rate)

    def _back(self, level: int, rate: float) -> None:
        """More did not pay off: try whether half does as well, unless that was measured."""
        while level // 2 in self.rates and self.rates[level // 2][0] >= _ENOUGH * rate:
            level //= 2
        if level > 1 and level // 2 not in self.rates:
            self._direction = -1
            self._try(level // 2, level, rate)
        else:
            self._settle(level)

    def _try_from_here(self, level: int, rate: float) -> None:
        """Try another level against the current one and its throughput."""
        answers = self.rates[self.level][1]
        self.notify(f"{self.level} calls in flight give {60 * answers:,.0f} answers a minute; trying {level}")
        self._try(level, self.level, rate)

    def _try(self, level: int, origin: int, rate: float) -> None:
        self._from, self._before = origin, rate
        self._set(level)

    def _settle(self, level: int) -> None:
        self._direction, self._before, self._quiet, self.settled = 0, None, 0, level
        known = self.rates.get(level)
        measured = "" if known is None else f", which gave {60 * known[1]:,.0f} answers a minute"
        self.notify(f"Keeping {level} calls in flight{measured}")
        self._set(level)

    def _set(self, level: int) -> None:
        self.level = level
        self._epoch += 1
        self._begun = 0
        self._round = _Round()
