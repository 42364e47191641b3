"""How many calls in flight pay: found out by trying, not given.

Calls are taken in rounds, of those that were begun at one level, with as many under way all their time. The first as
many are left out: a queue is shorter when they come than it will be. What a round gives is the work done a second at
that level, by Little's law: the level times the work of its calls over the seconds they took. Work is counted in
completion tokens, where every answer says them, else in answers.

From the first level the number doubles as long as the work a second grows by `PAYS`; where it nearly doubled, it grows
fourfold. Where it does not grow, the level before is enough, and it is tried whether half of that is too: so a server
that serves one at a time is left with a short queue. If the first level does not do plainly more than its first call
alone, it shrinks at once. Then the level stays; now and then the next one is tried again, since the load that others
put on a server changes.

Pure: the times of all calls are given. That an endpoint is too busy (429, 5xx, time-outs) is handled by
`producers.calls.concurrency`, which takes the level as the most there may be; here it only ends the growing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

PAYS = 1.15
_ENOUGH = 0.93  # of the work a second: a level that does this much is as good
_ROUND, _ROUND_UNSIZED = 12, 48  # calls at least, and where nobody says how much work each of them was
_TRIED_AGAIN = 24  # rounds
_FULL = 0.9  # of the level, on average while a call was under way
_PLAIN, _DOUBLED = 1.5, 1.7  # times the work a second


@dataclass(frozen=True)
class CallStart:
    """When a call was begun: in which level's time, as which since then, and the call seconds of all until then."""

    at: float
    epoch: int
    number: int
    call_seconds: float


@dataclass
class Explorer:
    """The state: `level` calls may be in flight, from 1 to `most`; `say` gets a sentence at each change.

    known     the level was found before: it stays, until it is time to try the next
    settled   the level that was found; None before any was
    rates     work and answers a second, as last measured at each level
    """

    most: int
    level: int = 8
    say: Callable[[str], None] = lambda _: None
    known: bool = False
    settled: int | None = None
    rates: dict[int, tuple[float, float]] = field(default_factory=dict)
    _direction: int = 1  # 1: growing, -1: shrinking, 0: settled
    _before: float | None = None  # work a second at the level that a try started from
    _from: int = 0  # that level
    _quiet: int = 0  # rounds since it settled
    _alone: float = 0.0  # work a second of the first call that was answered
    _epoch: int = 0
    _begun: int = 0  # calls in this epoch
    _under_way: int = 0
    _now: float = 0.0
    _call_seconds: float = 0.0  # of all calls until `_now`
    _calls: int = 0
    _work: float = 0.0
    _seconds: float = 0.0
    _counted: bool = True

    def __post_init__(self) -> None:
        self.level = min(max(1, self.level), self.most)
        if self.known:
            self._direction, self.settled = 0, self.level

    def begun(self, now: float) -> CallStart:
        """A call begins; hand its start back when it ends."""
        self._pass(now)
        self._under_way += 1
        self._begun += 1
        return CallStart(now, self._epoch, self._begun, self._call_seconds)

    def ended(self, now: float | None = None) -> None:
        """A call ended without an answer; without a time: it was not made after all."""
        self._pass(self._now if now is None else now)
        self._under_way -= 1

    def answered(self, start: CallStart, now: float, tokens: int | None) -> None:
        """A call ended with an answer of so many tokens; None when the answer does not say."""
        self.ended(now)
        seconds = now - start.at
        if seconds <= 0.0:
            return
        self._alone = self._alone or (tokens or 1) / seconds
        in_flight = (self._call_seconds - start.call_seconds) / seconds
        if start.epoch != self._epoch or start.number <= self.level or in_flight < _FULL * self.level:
            return
        self._calls += 1
        self._seconds += seconds
        self._counted = self._counted and tokens is not None
        self._work += tokens or 0
        work = self._work if self._counted and self._work else self._calls
        rate = self.level * work / self._seconds
        if self._calls >= self._round(rate):
            self._decide(rate, self.level * self._calls / self._seconds)

    def busy(self) -> None:
        """The endpoint had no room for a call: the level before was enough."""
        if self._direction > 0:
            self._settle(self.level if self._before is None else self._from)

    def _pass(self, now: float) -> None:
        self._call_seconds += self._under_way * max(0.0, now - self._now)
        self._now = max(now, self._now)

    def _round(self, rate: float) -> int:
        """How many calls tell enough: more where only their number is known, unless what they tell is plain."""
        if self._direction > 0 and self._before is None:
            return self.level
        plain = self._direction > 0 and self._before is not None and rate >= _PLAIN * self._before
        return max(_ROUND if self._counted or plain else _ROUND_UNSIZED, self.level)

    def _decide(self, rate: float, answers: float) -> None:
        self._forget_round()
        self.rates[self.level] = rate, answers
        before = self._before
        if self._direction > 0:
            if before is None and rate < _PLAIN * self._alone:
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
        """More did not pay; see whether less does as well, as far as that was not seen already."""
        while level // 2 in self.rates and self.rates[level // 2][0] >= _ENOUGH * rate:
            level //= 2
        if level > 1 and level // 2 not in self.rates:
            self._direction = -1
            self._try(level // 2, level, rate)
        else:
            self._settle(level)

    def _try_from_here(self, level: int, rate: float) -> None:
        """Try a level beside the one that is in force, at which so much work a second was done."""
        answers = self.rates[self.level][1]
        self.say(f"{self.level} calls in flight give {60 * answers:,.0f} answers a minute; trying {level}")
        self._try(level, self.level, rate)

    def _try(self, level: int, origin: int, rate: float) -> None:
        self._from, self._before = origin, rate
        self._set(level)

    def _settle(self, level: int) -> None:
        self._direction, self._before, self._quiet, self.settled = 0, None, 0, level
        known = self.rates.get(level)
        told = "" if known is None else f", which gave {60 * known[1]:,.0f} answers a minute"
        self.say(f"Keeping {level} calls in flight{told}")
        self._set(level)

    def _set(self, level: int) -> None:
        self.level = level
        self._epoch += 1
        self._begun = 0
        self._forget_round()

    def _forget_round(self) -> None:
        self._calls, self._work, self._seconds, self._counted = 0, 0.0, 0.0, True
