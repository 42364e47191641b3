"""One run in one terminal: starts everything, watches, and ends it in an order that loses nothing.

Order of starting: broker, topics and configuration, worker, trainer, generator. Order of ending: the generator writes
what it has in flight; the filter decides what is written; the trainer ends after its step, with a checkpoint; the
worker stops. The broker goes on, so that the log can be looked at.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from infra.log import LogReader, LogWriter
from infra.settings import Settings
from infra.supervisor import Supervisor
from schemas import ids
from schemas.events import GenerationHalted, RunStarted, RunStopped
from schemas.policy import Policy
from sedi.configuring import versions
from sedi.run_options import RunOptions

if TYPE_CHECKING:
    from consumers.status import Status, Watch

_LOOK_S = 1.0
_DRAIN_S = 90.0

Show = Callable[["Status", "Progress"], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """How far the run is towards its end, for the live view.

    windows     closed since the start of this command, of `windows_wanted` (None: it has no end by windows)
    children    name of each process and how it does
    training    the trainer's last word
    """

    windows: int
    windows_wanted: int | None
    elapsed_s: float
    phase: str
    children: dict[str, str]
    training: str


@dataclass(frozen=True)
class Ended:
    """Why the run ended, and whether it did what it was asked for."""

    reason: str
    reached: bool
    interrupted: bool


class Orchestra:
    """The processes of one run and the eye on its log."""

    def __init__(self, settings: Settings, run: str, options: RunOptions, policy: Policy, show: Show, say: Say) -> None:
        self._settings = settings
        self._policy = policy
        self._run = run
        self._options = options
        self._show = show
        self._say = say
        self._supervisor = Supervisor(settings, settings.state_dir / run / "logs")
        self._interrupts = 0
        self._started = time.monotonic()
        self._windows_before = 0

    def play(self) -> Ended:
        """Start everything, watch until the end, and end everything. Raises RunError when a process fails for good."""
        from consumers.status import Watch

        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with Watch(self._settings, self._run) as watch:
                status = watch.look()
                self._windows_before = status.windows
                self._tell_log(RunStarted(versions=versions()))
                self._start()
                reason, reached = self._watch(watch)
                self._drain(watch, reason)
                return Ended(reason, reached, self._interrupts > 0)
        finally:
            for number in before:
                signal.signal(number, signal.SIG_IGN)  # no child is left behind, however impatient somebody is
            self._supervisor.kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        self._supervisor.start("worker", ["worker", "--run", self._run])
        if self._options.trainer:
            self._supervisor.start("trainer", ["train", "--run", self._run, *self._options.train])
        limits = self._options.limits()
        self._supervisor.start("generator", ["generate", "--run", self._run, *limits, *self._options.generate])

    def _watch(self, watch: Watch) -> tuple[str, bool]:
        limit = self._options.time_limit_s
        while True:
            status = self._look(watch, "running")
            if self._interrupts:
                return "interrupted", not self._options.has_end
            if self._windows_done(status):
                return f"{self._options.windows} training windows were closed", True
            if self._supervisor.ended("generator") == 0:
                halted = self._halted()
                return halted or "the generator has reached its budget", halted is None
            if self._options.trainer and self._supervisor.ended("trainer") == 0:
                return "the trainer has ended", True
            if limit is not None and time.monotonic() - self._started > limit:
                return f"the time limit of {limit:.0f} s is over", False
            for name in self._supervisor.children:
                if self._supervisor.revive(name):
                    self._say(f"The {name} had failed and was started again; see {self._supervisor.logs / name}.log")
            time.sleep(_LOOK_S)

    def _halted(self) -> str | None:
        """Why the stall guard ended the generator since this command began, or None."""
        with LogReader(self._settings, self._run, ["run"]) as reader:
            events = [record.event for record in reader.read_to_end()]
        since = max((at for at, event in enumerate(events) if isinstance(event, RunStarted)), default=-1)
        return next((event.reason for event in events[since + 1 :] if isinstance(event, GenerationHalted)), None)

    def _windows_done(self, status: Status) -> bool:
        wanted = self._options.windows
        if wanted is None or status.windows - self._windows_before < wanted:
            return False
        answered = status.last_window is not None and status.last_window.outcome is not None
        shown = not self._options.show_replacement or status.generations_with_replacement_seed > 0
        return (answered or not self._policy.feedback) and shown

    def _drain(self, watch: Watch, reason: str) -> None:
        stop = self._supervisor.stop
        self._look(watch, "draining: the generator finishes what it has in flight")
        stop("generator", self._settings.request_timeout_s)
        self._wait(watch, "draining: the filter decides what is written", lambda status: status.filter_lag == 0)
        self._tell_log(RunStopped(reason=reason))
        if self._options.trainer:
            if self._options.windows is None and not self._interrupts:
                # no row is left behind: the trainer ends by itself once it has seen that the run was stopped
                self._wait(
                    watch, "training what is left", lambda _: self._supervisor.ended("trainer") is not None, None
                )
            self._look(watch, "draining: the trainer saves its checkpoint")
            stop("trainer", _DRAIN_S)
        stop("worker")

    def _wait(self, watch: Watch, phase: str, done: Callable[[Status], bool], limit_s: float | None = _DRAIN_S) -> None:
        deadline = None if limit_s is None else time.monotonic() + limit_s
        interrupts = self._interrupts
        while not done(self._look(watch, phase)):
            if deadline is not None and time.monotonic() > deadline:
                self._say(f"Gave up waiting ({phase}); nothing is lost, it goes on at the next start")
                return
            if self._interrupts > interrupts:
                return
            self._supervisor.revive("worker")
            time.sleep(_LOOK_S)

    def _look(self, watch: Watch, phase: str) -> Status:
        status = watch.look()
        children = {}
        for name, child in self._supervisor.children.items():
            code = self._supervisor.ended(name)
            state = "runs" if code is None else "has ended" if code == 0 else f"failed ({code})"
            children[name] = state + (f", restarted {child.restarts}×" if child.restarts else "")
        training = self._supervisor.tail("trainer", 1) if "trainer" in self._supervisor.children else ""
        progress = Progress(
            windows=status.windows - self._windows_before,
            windows_wanted=self._options.windows,
            elapsed_s=time.monotonic() - self._started,
            phase=phase,
            children=children,
            training=training,
        )
        self._show(status, progress)
        return status

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._say("Ending in order; once more to end at once")
        elif self._interrupts == 2:
            self._say("Ended at once. Nothing is lost: `sedi run` goes on from the log")
            raise KeyboardInterrupt  # any further one finds the children being ended

    def _tell_log(self, event: RunStarted | RunStopped) -> None:
        with LogReader(self._settings, self._run, ["run"]) as reader:
            place = reader.ends()["run", 0]
        with LogWriter(self._settings, self._run, "run") as log:
            log.write(event, key=self._run, id=ids.child(ids.run_id(self._run), f"place/{place}"))
