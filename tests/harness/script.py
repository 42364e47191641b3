"""Items of a script for `tests.harness.stream`: what comes onto the log, and what happens to whoever works on it.

Points to die at: "before X", "after X" for a write to the topic X (in between, it is on the log and not confirmed), "in
a write, before X" when other records of the same write were sent before, "before table X" and "after table X" when a
table is set, whose changelog does not have it yet, "before reading X" when the log is read to fill a gap or to recover,
"in recovery", and BETWEEN, after one record and before the next, which needs no naming: `CRASH()`.
"""

from dataclasses import dataclass
from typing import Literal

from streams.worker.app import CATCH_UP_S
from tests.harness.memory_worker import Crash, Outage

BETWEEN = "between records"


@dataclass(frozen=True)
class Generation:
    """A generation with these instructions, the next of the lane; `again`: the lane's last one, written once more."""

    texts: tuple[str, ...]
    lane: str = "main"
    again: bool = False


@dataclass(frozen=True)
class Window:
    """A training window over rows kept and not trained yet, if there are enough for a step; `again` as above."""

    again: bool = False


@dataclass(frozen=True)
class Judgement:
    """The rows that are kept and were not judged yet get these scores from a judge, in turn. A worker is not told."""

    scores: tuple[float, ...] = (5.0,)


@dataclass(frozen=True)
class Garbage:
    """A record that cannot be read."""

    topic: str = "generated"


@dataclass(frozen=True)
class CRASH:
    """The process dies at the `hit`-th time that it comes to a point.

    lost     last writes of each table that its changelog never gets
    spare    partitions, of those sent and not landed, whose records land all the same: "none", "all" or the even ones
    passed   the committed offset is that of the end: nothing is delivered again
    """

    at: str = BETWEEN
    hit: int = 1
    lost: int = 0
    spare: Literal["none", "all", "even"] = "none"
    passed: bool = False
    error: type[BaseException] = Crash


def OUTAGE(at: str, hit: int = 1) -> CRASH:
    """The broker is away when the process comes to a point; it stops by itself and is started again."""
    return CRASH(at, hit, error=Outage, spare="all")


@dataclass(frozen=True)
class PAUSE:
    """Nothing comes for so many seconds; timers fire."""

    seconds: float = 3 * CATCH_UP_S


@dataclass(frozen=True)
class DUPLICATE:
    """The record `back` before the last of a topic is delivered again."""

    back: int = 0
    topic: str = "generated"


@dataclass(frozen=True)
class SKIP:
    """The next record is on the log and is never delivered."""


@dataclass(frozen=True)
class LATE:
    """The next record is delivered after the one that follows it."""


@dataclass(frozen=True)
class TOGETHER:
    """The next two records are delivered at the same time."""


@dataclass(frozen=True)
class MEANWHILE:
    """The timer fires while the next record is being applied."""


@dataclass(frozen=True)
class REBALANCE:
    """Another worker takes over; this one stands by from then on.

    lag      last writes of each table that the changelogs do not have yet when the other one recovers; they come later
    zombie   this one does not hear of it before the next record, which both apply: "first" is before the other one
    """

    lag: int = 0
    zombie: Literal["", "first", "last"] = ""


Item = (
    Generation
    | Window
    | Judgement
    | Garbage
    | CRASH
    | PAUSE
    | DUPLICATE
    | SKIP
    | LATE
    | TOGETHER
    | MEANWHILE
    | REBALANCE
)
