"""Measures the throughput of a number of calls in flight: quickly, and again thoroughly.

A level is a number of calls that may be in flight. It is measured in two ways from when it is set:

quick      answers over the time since the level was full, taken after every `level` answers. It is there after one
           call's time, counts the client's own gaps as well, and is a low estimate while the first calls are slow.
           Where the level was lowered, answers to earlier calls are left out, as the server had more to do then.
thorough   Little's law: the level, times the answers of a round, over the seconds that they took. Counted are calls
           that had that many in flight all along. The first `level` calls are left out, because the server's queue is
           still filling: they wait shorter than later ones, which makes every server look as if it had room.

Pure: times are arguments.
"""

from dataclasses import dataclass, field

_FULL = 0.9  # share of the level that must be in flight, on average over a call, for it to count
_MOSTLY = 0.6  # the same over the time of a quick measurement
_FEW = 6  # least answers of a quick measurement


@dataclass(frozen=True)
class Throughput:
    """Answers and completion tokens a second; tokens are 0 where answers do not report them."""

    answers: float
    tokens: float

    def of(self, *, counted: bool) -> float:
        """In tokens if these are counted, else in answers."""
        return self.tokens if counted else self.answers


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
class _Tally:
    """Calls, the seconds that they took, summed, and their tokens."""

    calls: int = 0
    seconds: float = 0.0
    tokens: int = 0

    def add(self, seconds: float, tokens: int | None) -> None:
        self.calls += 1
        self.seconds += seconds
        self.tokens += tokens or 0


@dataclass
class CallMeter:
    """The state: measurements of the level that was set last.

    calls   answers in the round so far
    """

    level: int
    _lowered: bool = False
    _epoch: int = 0
    _begun: int = 0  # calls in this epoch
    _clock: _CallClock = field(default_factory=_CallClock)
    _round: _Tally = field(default_factory=_Tally)
    _since: CallStart | None = None  # the level was full
    _quick: _Tally = field(default_factory=_Tally)  # answers from then on
    _first_start: float | None = None  # when the call that was begun first began
    _first_seconds: float | None = None  # that it took
    _first_answer: Throughput | None = None  # of the call that was answered first, by itself

    @property
    def calls(self) -> int:
        return self._round.calls

    def set_level(self, level: int) -> None:
        """Measure this level from now on."""
        self._lowered, self.level = level < self.level, level
        self._epoch += 1
        self._begun = 0
        self._since = None
        self.next_round()

    def next_round(self) -> None:
        """Begin another round at the same level."""
        self._round, self._quick = _Tally(), _Tally()

    def begun(self, now: float) -> CallStart:
        """A call begins."""
        self._clock.change(now, 1)
        self._begun += 1
        if self._first_start is None:
            self._first_start = now
        start = CallStart(now, self._epoch, self._begun, self._clock.call_seconds)
        if self._since is None and (self._lowered or self._clock.in_flight >= self.level):
            self._since = start
        return start

    def ended(self, now: float | None = None) -> None:
        """A call ended without an answer. Without a time it was not made at all."""
        self._clock.change(now, -1)

    def answered(self, start: CallStart, now: float, tokens: int | None) -> None:
        """A call ended with an answer."""
        self.ended(now)
        seconds, own = now - start.at, start.epoch == self._epoch
        if seconds <= 0.0:
            return
        self._first_answer = self._first_answer or Throughput(1 / seconds, (tokens or 0) / seconds)
        if start.at == self._first_start:
            self._first_seconds = self._first_seconds or seconds
        if self._since is not None and (own or not self._lowered):
            self._quick.add(seconds, tokens)
        in_flight = (self._clock.call_seconds - start.call_seconds) / seconds
        if own and start.number > self.level and in_flight >= _FULL * self.level:
            self._round.add(seconds, tokens)

    def quick(self) -> Throughput | None:
        """The quick measurement, after every `level` answers; None between."""
        since, calls = self._since, self._quick.calls
        if since is None or calls < _FEW or calls % self.level:
            return None
        elapsed = self._clock.now - since.at
        if elapsed <= 0.0 or self._clock.call_seconds - since.call_seconds < _MOSTLY * self.level * elapsed:
            return None
        return Throughput(calls / elapsed, self._quick.tokens / elapsed)

    def thorough(self) -> Throughput | None:
        """The throughput by the round so far; None: it has no calls."""
        done = self._round
        if not done.calls:
            return None
        return Throughput(self.level * done.calls / done.seconds, self.level * done.tokens / done.seconds)

    def at_once(self, throughput: Throughput, *, counted: bool) -> float:
        """Calls that the server works on at once at this throughput, if its first call was served as fast as can be.

        Where tokens are counted it is the call that was answered first. Else it is the one that was begun first, since
        the other would be the shortest of all; while it has no answer, it counts as if it ended now.
        """
        if counted:
            return throughput.tokens / self._first_answer.tokens if self._first_answer else 1.0
        if self._first_start is None:
            return 1.0
        return throughput.answers * (self._first_seconds or self._clock.now - self._first_start)
