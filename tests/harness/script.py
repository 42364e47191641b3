"""Items of a script for `tests.harness.stream`: records for the log, and failures of the worker.

Points of a crash: "before X", "after X" for a write to the topic X (after: it is on the log and not confirmed), "in a
write, before X" when other records of the same write were sent before, "before table X" and "after table X" for a table
write that is not on the changelog yet, "before reading X" for a read of the log to fill a gap or to recover, "in
recovery", and BETWEEN two records, the default: `CRASH()`.
"""

from dataclasses import dataclass
from typing import Literal

from streams.worker.app import CATCH_UP_S
from tests.harness.memory_worker import Crash, Outage

BETWEEN = "between records"


@dataclass(frozen=True)
class Generation:
    """The lane's next generation, with these instructions; `again`: a duplicate of its last one."""

    texts: tuple[str, ...]
    lane: str = "main"
    again: bool = False


@dataclass(frozen=True)
class Window:
    """A training window over the kept rows not trained yet, if enough for a step; `again`: a duplicate of the last."""

    again: bool = False


@dataclass(frozen=True)
class Judgement:
    """A judge gives the kept rows not judged yet these scores, in turn. Not delivered to the worker."""

    scores: tuple[float, ...] = (5.0,)


@dataclass(frozen=True)
class Answers:
    """Kept rows without an answer get one, which is not used where `fails` says so, in turn. Not delivered to the
    worker."""

    fails: tuple[bool, ...] = (True, False)


@dataclass(frozen=True)
class Garbage:
    """An unreadable record."""

    topic: str = "generated"


@dataclass(frozen=True)
class CRASH:
    """The process dies the `hit`-th time that it reaches a point.

    lost     number of last writes of each table that never reach its changelog
    spare    partitions whose pending sends still land: "none", "all" or the even ones
    passed   the committed offset is the end offset, so nothing is delivered again
    """

    at: str = BETWEEN
    hit: int = 1
    lost: int = 0
    spare: Literal["none", "all", "even"] = "none"
    passed: bool = False
    error: type[BaseException] = Crash


def OUTAGE(at: str, hit: int = 1) -> CRASH:
    """The broker is unavailable when the process reaches a point; the process stops and is restarted."""
    return CRASH(at, hit, error=Outage, spare="all")


@dataclass(frozen=True)
class PAUSE:
    """No record for so many seconds; timers fire."""

    seconds: float = 3 * CATCH_UP_S


@dataclass(frozen=True)
class DUPLICATE:
    """The record `back` before the last of a topic is delivered again."""

    back: int = 0
    topic: str = "generated"


@dataclass(frozen=True)
class SKIP:
    """The next record is written to the log and never delivered."""


@dataclass(frozen=True)
class LATE:
    """The next two records are delivered in reverse order."""


@dataclass(frozen=True)
class TOGETHER:
    """The next two records are delivered concurrently."""


@dataclass(frozen=True)
class MEANWHILE:
    """The timer fires while the next record is being applied."""


@dataclass(frozen=True)
class REBALANCE:
    """Another worker takes over; this one becomes the standby.

    lag      number of last writes of each table that reach the changelogs only after the other one has recovered
    zombie   this one is not notified before the next record, which both apply: "first": before the other one
    """

    lag: int = 0
    zombie: Literal["", "first", "last"] = ""


Item = (
    Generation
    | Window
    | Judgement
    | Answers
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
