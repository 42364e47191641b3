"""Finds by trial how many calls in flight pay off.

A level is a number of calls in flight; `producers.calls.call_meter` measures what it brings. Work is counted in
completion tokens if every answer reports them, else in answers.

Growing: from the first level on, the level doubles as long as throughput grows by the factor `PAYS`. Where the quick
measurement shows that nearly all of the added calls were served beside the others, the thorough one is not waited for,
and the level grows fourfold; so 8, 16, 64 calls take one call's time each. A quick measurement can be low, as at a
server that is still loading its model. Where the gain over it is not clear, or is more than the added calls explain,
its level is measured again, thoroughly.

Shrinking: where more does not pay off, less is tried: a server that serves one call at a time should have a short
queue. The rate over that of the first call tells how many calls are served at once; below that nothing is tried at
first. A clear loss ends a trial quickly. If the first level is not clearly faster than one call, the level shrinks at
once.

Then the level settles, with a quarter more, so that a slot of the server does not wait for the client's next call. The
next higher level is tried now and then, since a server's load changes.

Pure: call times are arguments. Busy responses (429, 5xx, time-outs) are handled by `producers.calls.concurrency`, which
takes the level as its maximum; here they only end the growth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from producers.calls.call_meter import CallMeter, CallStart, Throughput

PAYS = 1.15
_ENOUGH = 0.93  # share of another level's throughput that counts as equal to it
_LOSS = 0.6  # share of it that is clearly less
_ROUND, _ROUND_UNSIZED = 12, 48  # least calls of a round; the second where answers report no tokens
_TRIED_AGAIN = 24  # rounds until a settled level is tried against the next
_CLEAR = 1.5  # factor of throughput
_SERVED, _EXPLAINED = 0.75, 1.5  # times the factor of the level: nearly all added calls are served; most that can be
_PARALLEL = 2.0  # calls served at once that suffice to try more after a quick measurement


@dataclass
class Explorer:
    """The state: `level` calls may be in flight, from 1 to `most`; `notify` gets a message at each change.

    known     the level was found by an earlier start: it is settled at once
    settled   the level that was found; None before that
    rates     throughput as last measured at each level
    """

    most: int
    level: int = 8
    notify: Callable[[str], None] = lambda _: None
    known: bool = False
    settled: int | None = None
    rates: dict[int, Throughput] = field(default_factory=dict)
    _direction: int = 1  # 1: growing, -1: shrinking, 0: settled
    _before: Throughput | None = None  # of the level that a trial started from
    _from: int = 0  # that level
    _rough: bool = False  # `_before` was measured quickly
    _thorough: bool = False  # the level is to be measured thoroughly
    _rounds: int = 0  # since it settled
    _counted: bool = True  # throughput is in tokens, which all answers so far reported; else in answers

    def __post_init__(self) -> None:
        self.level = min(max(1, self.level), self.most)
        self._meter = CallMeter(self.level)
        if self.known:
            self._direction, self.settled = 0, self.level

    def begun(self, now: float) -> CallStart:
        """A call begins. Pass the result to `answered`."""
        return self._meter.begun(now)

    def ended(self, now: float | None = None) -> None:
        """A call ended without an answer. Without a time it was not made at all."""
        self._meter.ended(now)

    def answered(self, start: CallStart, now: float, tokens: int | None) -> None:
        """A call ended with an answer of so many tokens; None: the answer does not report them."""
        self._meter.answered(start, now, tokens)
        if now <= start.at:
            return
        self._counted = self._counted and bool(tokens)
        quick = None if self._thorough or self._direction == 0 else self._meter.quick()
        if quick is not None and self._decided_quickly(quick):
            return
        measured = self._meter.thorough()
        if measured is not None and self._meter.calls >= self._round_size(measured):
            self._decide(measured)

    def busy(self) -> None:
        """The endpoint had no capacity for a call: stop growing."""
        if self._direction > 0:
            self._settle(self.level if self._before is None else self._from)

    def _value(self, throughput: Throughput) -> float:
        return throughput.of(counted=self._counted)

    def _gain(self, throughput: Throughput) -> float:
        """Over the level that the trial started from."""
        return self._value(throughput) / self._value(self._before) if self._before else 1.0

    def _at_once(self, throughput: Throughput) -> float:
        return self._meter.at_once(throughput, counted=self._counted)

    def _served(self, throughput: Throughput) -> bool:
        """Whether nearly all of the added calls are served beside the others."""
        times = self.level / self._from if self._from else 1.0
        return _SERVED * times <= self._gain(throughput) <= _EXPLAINED * times

    def _round_size(self, measured: Throughput) -> int:
        """Calls of a round: more where tokens are not reported, unless the gain is clear."""
        clear = self._direction > 0 and (self._before is None or self._gain(measured) >= _CLEAR)
        return max(_ROUND if self._counted or clear else _ROUND_UNSIZED, self.level)

    def _decided_quickly(self, measured: Throughput) -> bool:
        """Decide where the result is clear already."""
        if self._direction < 0:
            clear = self._gain(measured) < _LOSS
        elif self._before is None:
            at_once = self._at_once(measured)
            clear = at_once < _CLEAR or at_once >= _PARALLEL
        else:
            clear = self._served(measured)
        if clear:
            self._decide(measured, rough=True)
        return clear

    def _decide(self, measured: Throughput, *, rough: bool = False) -> None:
        self._meter.next_round()
        self.rates[self.level] = measured
        if self._direction > 0:
            self._grown(measured, rough=rough)
        elif self._direction < 0:
            self._shrunk(measured)
        else:
            self._rounds += 1
            if self._rounds >= _TRIED_AGAIN and self.level < self.most:
                self._direction = 1
                self._try_from_here(min(2 * self.level, self.most), measured)

    def _grown(self, measured: Throughput, *, rough: bool) -> None:
        gain = self._gain(measured)
        if self._before is None:
            if self._at_once(measured) < _CLEAR:
                self._back(self.level, measured)
            else:
                self._grow(2, measured, rough=rough)
        elif gain < PAYS:
            self._back(self._from, self._before)
        elif self._rough and not _CLEAR <= gain <= _EXPLAINED * self.level / self._from:
            self._before = None
            self._set(self._from)
            self._thorough = True
        else:
            self._grow(4 if self._served(measured) else 2, measured, rough=rough)

    def _grow(self, times: int, measured: Throughput, *, rough: bool) -> None:
        if self.level == self.most:
            self._settle(self.level)
        else:
            self._try_from_here(min(times * self.level, self.most), measured, rough=rough)

    def _shrunk(self, measured: Throughput) -> None:
        if self._gain(measured) >= _ENOUGH:
            self._back(self.level, max(measured, self._before or measured, key=self._value))
        elif self._gain(measured) <= _EXPLAINED * self.level / self._from and max(self.rates) == self._from < self.most:
            # All of them were served at once, so the first call was no measure: more may pay off.
            self._direction = 1
            self._try(min(2 * self._from, self.most), self._from, self._before or measured)
        elif 2 * self.level < self._from and self._before is not None:
            self._try(2 * self.level, self._from, self._before)
        else:
            self._found(self._from)

    def _back(self, level: int, before: Throughput) -> None:
        """More did not pay off: try whether less does as well, unless that was measured, or the level had settled."""
        if self.settled is not None:
            self._settle(level)
            return
        while level // 2 in self.rates and self._value(self.rates[level // 2]) >= _ENOUGH * self._value(before):
            level //= 2
        less = level // 2
        while less > 1 and less // 2 not in self.rates and less // 2 >= _ENOUGH * self._at_once(before):
            less //= 2
        if less and less not in self.rates:
            self._direction = -1
            self._try(less, level, before)
        else:
            self._found(level)

    def _try_from_here(self, level: int, measured: Throughput, *, rough: bool = False) -> None:
        """Try another level against the current one and its throughput."""
        a_minute = f"{60 * measured.answers:,.0f} answers a minute"
        self.notify(f"{self.level} calls in flight give {a_minute}; trying {level}")
        self._try(level, self.level, measured, rough=rough)

    def _try(self, level: int, origin: int, before: Throughput, *, rough: bool = False) -> None:
        self._from, self._before, self._rough = origin, before, rough
        self._set(level)

    def _found(self, level: int) -> None:
        """This many are served at once. A quarter more wait, so that no slot waits for the next call."""
        self._settle(min(level + level // 4, self.most), level)

    def _settle(self, level: int, measured_at: int | None = None) -> None:
        self._direction, self._before, self._rounds, self.settled = 0, None, 0, level
        at = level if measured_at is None else measured_at
        known = self.rates.get(at)
        which = "which" if at == level else f"as {at}"
        measured = "" if known is None else f", {which} gave {60 * known.answers:,.0f} answers a minute"
        self.notify(f"Keeping {level} calls in flight{measured}")
        self._set(level)

    def _set(self, level: int) -> None:
        self.level = level
        self._thorough = False
        self._meter.set_level(level)
