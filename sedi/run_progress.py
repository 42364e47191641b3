"""How far a run is, and how it ended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunProgress:
    """How far the run is towards its end, for the live view.

    windows     closed since the start of this command, of `windows_wanted` (None: it has no end by windows)
    children    name of each process and how it does
    training    the trainer's last line
    priced      whether calls have a price
    waited_s    seconds of this phase so far, when it is one that waits for somebody
    """

    windows: int
    windows_wanted: int | None
    elapsed_s: float
    phase: str
    children: dict[str, str]
    training: str
    priced: bool
    waited_s: float | None = None


@dataclass(frozen=True)
class RunEnding:
    """Why the run ended, whether it did what it was asked for, and whether that is a failure."""

    reason: str
    reached: bool
    failed: bool
    interrupted: bool
