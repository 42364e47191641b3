"""How far a run is, and how it ended."""

from dataclasses import dataclass, field

from infra.machine.supervisor import Supervisor
from sedi.stall import step_in
from sedi.targets import Target

_STOPPING, _SAID_LAST = "Stopping", "; ended: "  # in the trainer's lines: it saves a checkpoint; it has saved it


@dataclass(frozen=True)
class RunProgress:
    """How far the run is towards its end, for the live view.

    windows     closed since the start of this command, of `windows_wanted` (None: it has no end by windows)
    children    name of each process and how it does
    training    the trainer's last line
    priced      whether calls have a price
    waited_s    seconds of this phase so far, when it is one that waits for somebody
    news        last line of each process that has said something
    targets     targets and budgets
    feeds_back  whether training replaces seeds
    """

    windows: int
    windows_wanted: int | None
    elapsed_s: float
    phase: str
    children: dict[str, str]
    training: str
    priced: bool
    waited_s: float | None = None
    news: dict[str, str] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    feeds_back: bool = False


@dataclass(frozen=True)
class RunEnding:
    """Why the run ended, whether it did what it was asked for, and whether that is a failure."""

    reason: str
    reached: bool
    failed: bool
    interrupted: bool


def states(supervisor: Supervisor) -> tuple[dict[str, str], dict[str, str]]:
    """How each process does, and the last line of those that have said something."""
    children, news = {}, {}
    for name, child in supervisor.children.items():
        code = supervisor.ended(name)
        state = "runs" if code is None else "has ended" if code == 0 else f"failed ({code})"
        children[name] = state + (f", restarted {child.restarts}×" if child.restarts else "")
        if said := supervisor.news(name):
            news[name] = said
    return children, news


def has_saved(news: str) -> bool:
    """Whether a trainer has said its last, after which there is nothing to lose. `news`: its last line."""
    return _SAID_LAST in news


def trainer_phase(news: str) -> str:
    """What a trainer that was asked to stop still does, behind its name."""
    if not news:
        return ", which is starting"
    if news.startswith(_STOPPING) or has_saved(news):
        return " to save its checkpoint"
    step = step_in(news)
    return f" to finish {'its step' if step is None else f'step {step + 1}'}"
