"""One run in one terminal: starts everything, watches, and ends it in an order that loses nothing.

Order of starting: broker, topics and configuration, worker, trainer, generators (`sedi.producing`), an answerer where
kept instructions alone are answered, and a judge where one is wanted. Order of ending: the generators write what they
have in flight; the filter decides what is written; the answerer answers what is kept; the trainer ends after its step,
with a checkpoint; the judge writes what it has in flight; the worker stops. Asked to end,
or at a limit, that takes at most half a minute, unless a step of the trainer takes longer: that is waited for, and
said. The broker stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import msgspec

from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.machine.supervisor import Supervisor
from infra.settings import Settings
from schemas import ids
from schemas.errors import RunError
from schemas.events import RunStarted, RunStopped
from schemas.policy import Policy
from sedi.configuring import versions
from sedi.interrupts import SignalCounter
from sedi.output import priced
from sedi.producing import Producing, halted_since_start
from sedi.run_options import RunOptions, planned_steps
from sedi.run_progress import RunEnding, RunProgress, has_saved, states, trainer_phase
from sedi.stall import LastMoved
from sedi.targets import Targets

if TYPE_CHECKING:
    from consumers.status import Status, StatusWatch

_LOOK_S = 1.0
_DRAIN_S = 90.0
_STEP_S = 900.0  # longer than any step that somebody waits for
_CALLS_S, _GIVE_UP_S, _FILTER_S, _EXIT_S, _WORKER_S = 10.0, 3.0, 5.0, 3.0, 6.0  # together less than 30 s

Show = Callable[["Status", "RunProgress"], None]
Say = Callable[[str], None]


class Orchestrator:
    """The processes of one run and the eye on its log."""

    def __init__(self, settings: Settings, run: str, options: RunOptions, policy: Policy, show: Show, say: Say) -> None:
        self._settings = settings
        self._policy = policy
        self._run = run
        self._options = options
        self._show = show
        self._say = say
        self._supervisor = Supervisor(settings, settings.state_dir / run / "logs")
        self._interrupts = SignalCounter(self._supervisor.kill_now, say)
        self._started = time.monotonic()
        self._targets = Targets(options)
        self._asked: set[str] = set()
        self._producing = Producing(run, options)
        self._movement = LastMoved(policy.batch_size, options.trainer, options.trainer and policy.feedback)

    def play(self) -> RunEnding:
        """Start everything, watch until the end, and end everything, in order also when a process fails for good."""
        from consumers.status import StatusWatch

        with self._interrupts:
            try:
                with StatusWatch(self._settings, self._run, self._say) as watch:
                    self._targets.windows_before = watch.look().windows
                    self._tell_log(RunStarted(versions=versions()))
                    self._start()
                    reason, reached, failed = self._watch(watch)
                    self._drain(watch, reason)
                    return RunEnding(reason, reached, failed, self._interrupts.count > 0)
            finally:
                self._interrupts.ignore()  # no child is left behind, however impatient somebody is
                self._supervisor.kill()

    def _start(self) -> None:
        self._supervisor.start("worker", ["worker", "--run", self._run])
        if self._options.trainer:
            # A training that goes on keeps the steps it was planned for.
            planned = [] if self._targets.windows_before else planned_steps(self._options, self._policy)
            self._supervisor.start("trainer", ["train", "--run", self._run, *planned, *self._options.train])
        if self._options.trainer and self._options.from_seeds and self._options.ahead():
            self._say("The trainer passes rows over (--min-score), so the generator does not wait for it (--max-ahead)")
        self._producing.start(self._supervisor)
        for name in self._callers():
            self._start_caller(name)

    def _callers(self) -> dict[str, tuple[list[str], str]]:
        """The parts that work on kept rows: command and arguments of each, and what it does."""
        callers = {}
        if self._policy.answer == "kept":
            callers["answerer"] = ["answer", *self._options.answer_arguments()], "answering"
        if self._options.judging:
            callers["judge"] = ["judge", *self._options.judge_arguments()], "judging"
        return callers

    def _start_caller(self, name: str, *further: str, suffix: str = "") -> None:
        (command, *arguments), _ = self._callers()[name]
        self._supervisor.start(name + suffix, [command, "--run", self._run, *arguments, *further])

    def _watch(self, watch: StatusWatch) -> tuple[str, bool, bool]:
        """Why the run is to end, whether it did what it was asked for, and whether that is a failure."""
        limit = self._options.time_limit_s
        while True:
            status = self._look(watch, "running")
            if self._interrupts.count:
                return "interrupted", not self._options.has_end, False
            if self._windows_done(status):
                return f"{self._options.windows} training windows were closed", True, False
            self._producing.start(self._supervisor)
            if self._producing.have_ended(self._supervisor):
                halted = halted_since_start(self._settings, self._run)
                return halted or self._producing.why_ended(self._supervisor), halted is None, halted is not None
            for name in ("trainer", "answerer"):  # without them the generators would wait for ever
                if name in self._supervisor.children and self._supervisor.ended(name) == 0:
                    return f"the {name} has ended", True, False
            if limit is not None and time.monotonic() - self._started > limit:
                return self._at_limit(limit, status)
            failed = self._revive()
            if failed is not None:
                return failed, False, True
            self._interrupts.pause(_LOOK_S)

    def _revive(self) -> str | None:
        """Start again what has failed. Why the run cannot go on, if something failed for good."""
        for name in self._supervisor.children:
            if self._supervisor.refused(name):
                return f"the {name} cannot go on. It said: {self._supervisor.tail(name, 1)}"
            try:
                if self._supervisor.revive(name):
                    self._say(f"The {name} had failed and was started again; see {self._supervisor.logs / name}.log")
            except RunError as error:
                return str(error)
        return None

    def _windows_done(self, status: Status) -> bool:
        wanted = self._options.windows
        if wanted is None or self._targets.windows(status) < wanted:
            return False
        answered = status.last_window is not None and status.last_window.outcome is not None
        shown = not self._options.show_replacement or status.generations_with_replacement_seed > 0
        return (answered or not self._policy.feedback) and shown

    def _at_limit(self, limit: float, status: Status) -> tuple[str, bool, bool]:
        over = f"the time limit of {limit:.0f} s is over"
        if self._producing.adds_documents(self._supervisor):
            return f"{over}, and the documents are not all added yet; the same command goes on", False, False
        stalled = self._movement.stalled(status)
        if stalled is not None:
            part, still = stalled
            child = {"filter": "worker", "feedback": "worker"}.get(part, part)
            if part == "generator":
                child = self._producing.quoted(self._supervisor)
            last = self._supervisor.news(child) or self._supervisor.tail(child, 1)
            return f"{over}, and the {part} has not moved for {still:.0f} s; its last line: {last or '-'}", False, True
        done = self._targets.windows(status)
        wanted = f" of {self._options.windows}" if self._options.windows else ""
        return f"{over} with {done}{wanted} training windows closed; nothing stands still", False, False

    def _drain(self, watch: StatusWatch, reason: str) -> None:
        for name in self._producing.names:
            self._supervisor.ask_to_stop(name)
        if self._hurry:
            self._ask_once("trainer")  # its step may take longer than all that follows
            for name in self._callers():
                self._ask_once(name)
        self._end_generators(watch)
        decided = self._wait(
            watch,
            lambda: "ending: waiting for the filter to decide on what is written",
            lambda status: status.filter_lag == 0 or self._supervisor.refused("worker"),
            _FILTER_S if self._hurry else _DRAIN_S,
        )
        if not decided or self._supervisor.refused("worker"):
            self._say("The filter decides on the rest at the next start; nothing is lost")
        if self._policy.answer == "kept":
            self._end_caller(watch, "answerer")
            self._say_unanswered(watch)
        self._tell_log(RunStopped(reason=reason))
        if self._options.trainer:
            if not self._hurry:
                # no row is left behind: the trainer ends by itself once it has seen that the run was stopped
                self._wait(watch, lambda: "training what is left", lambda _: self._ended("trainer"), None, cut=True)
            self._ask_once("trainer")
            news = partial(self._supervisor.news, "trainer")
            self._wait(
                watch,
                lambda: f"ending: waiting for the trainer{trainer_phase(news())}",
                lambda _: self._ended("trainer") or has_saved(news()),
                _STEP_S,
            )
            self._supervisor.stop("trainer", _EXIT_S)
        if self._options.judging:
            self._end_caller(watch, "judge")
        self._supervisor.ask_to_stop("worker")
        self._wait(watch, lambda: "ending: waiting for the worker", lambda _: self._ended("worker"), _WORKER_S)
        self._supervisor.stop("worker", 0.0)

    def _end_caller(self, watch: StatusWatch, name: str) -> None:
        """End the answerer or the judge, once its calls have ended. Without a hurry another one does what is left,
        until a first signal."""
        _, doing = self._callers()[name]
        self._ask_once(name)
        limit_s = _CALLS_S if self._hurry else None
        self._wait(watch, lambda: f"ending: waiting for the {name}", lambda _: self._ended(name), limit_s, cut=True)
        self._supervisor.stop(name, 0.0)
        if not self._hurry and not self._supervisor.refused(name):
            self._start_caller(name, "--until-end", suffix="-rest")
            self._wait(watch, lambda: f"{doing} what is left", lambda _: self._ended(f"{name}-rest"), None, cut=True)
            self._supervisor.stop(f"{name}-rest", _CALLS_S)

    def _say_unanswered(self, watch: StatusWatch) -> None:
        found = self._look(watch, "ending").answered
        if not isinstance(found, msgspec.UnsetType) and found.waiting:
            self._say(f"{found.waiting:,} kept rows have no answer yet: the same command goes on with them")

    def _ask_once(self, name: str) -> None:
        """Ask a part to stop, unless it was asked: asked twice, it gives up its calls in flight."""
        if name not in self._asked:
            self._asked.add(name)
            self._supervisor.ask_to_stop(name)

    @property
    def _hurry(self) -> bool:
        """Whether the end should come soon, so that what can go on at the next start is left to it."""
        is_over = time.monotonic() - self._started > (self._options.time_limit_s or inf)
        return self._interrupts.count > 0 or self._options.windows is not None or is_over

    def _ended(self, name: str) -> bool:
        return self._supervisor.ended(name) is not None

    def _end_generators(self, watch: StatusWatch) -> None:
        """Wait for the calls in flight; then have them given up; then end it by force."""
        for limit, what in ((_CALLS_S, "finish the calls in flight"), (_GIVE_UP_S, "give up the calls in flight")):
            phase = f"ending: waiting for the generator to {what}"
            done = lambda _: not self._producing.at_work(self._supervisor)  # noqa: E731
            if self._wait(watch, lambda phase=phase: phase, done, limit):  # type: ignore[misc]
                return
            for name in self._producing.names:
                self._supervisor.ask_to_stop(name)
        for name in self._producing.names:
            self._supervisor.stop(name, 0.0)

    def _wait(
        self,
        watch: StatusWatch,
        phase: Callable[[], str],
        done: Callable[[Status], bool],
        limit_s: float | None,
        *,
        cut: bool = False,
    ) -> bool:
        """Whether what is waited for came within the limit; with `cut` a first signal ends the waiting too."""
        started, count = time.monotonic(), self._interrupts.count
        while not done(self._look(watch, phase(), time.monotonic() - started)):
            waited = time.monotonic() - started
            if (limit_s is not None and waited > limit_s) or (cut and self._interrupts.count > count):
                return False
            self._supervisor.revive("worker")
            self._interrupts.pause(_LOOK_S)
        return True

    def _look(self, watch: StatusWatch, phase: str, waited_s: float | None = None) -> Status:
        status = watch.look()
        self._interrupts.check()
        children, news = states(self._supervisor)
        training = news.get("trainer", "")
        self._movement.see(status, training)
        elapsed_s = time.monotonic() - self._started
        progress = RunProgress(
            windows=self._targets.windows(status),
            windows_wanted=self._options.windows,
            elapsed_s=elapsed_s,
            phase=phase,
            children=children,
            training=training,
            priced=priced(self._settings),
            waited_s=waited_s,
            news=news,
            targets=self._targets.see(status, elapsed_s, watch.fold.verdicts),
            feeds_back=self._policy.feedback,
        )
        self._show(status, progress)
        return status

    def _tell_log(self, event: RunStarted | RunStopped) -> None:
        with LogReader(self._settings, self._run, ["run"]) as reader:
            place = reader.ends()["run", 0]
        with LogWriter(self._settings, self._run, "run") as log:
            log.write(event, key=self._run, id=ids.child(ids.run_id(self._run), f"place/{place}"))
