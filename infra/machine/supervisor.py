"""Supervises the processes of a run: starts them, restarts failed ones, stops them in order.

Each child has its own session, so Ctrl-C in the terminal reaches only the supervisor, which chooses the order of
stopping. On Linux the children get SIGTERM when the supervisor dies, so a crash leaves none behind.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.distribution import python_module
from infra.settings import Settings, environment_of
from schemas.errors import RunError

_PR_SET_PDEATHSIG = 1
_PERMANENT = (2, 4, 5)  # exit codes: wrong settings, a permanent refusal, too many dead letters
PARENT = "SEDI_SUPERVISOR_PID"
NEWS = "SEDI_NEWS_FILE"
"""Environment variable: the file for a child's own status lines, without the output of libraries."""


@dataclass
class Child:
    """One process of the run, with its restart count."""

    name: str
    arguments: tuple[str, ...]
    log_file: Path
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0
    stopping: bool = False


@dataclass
class Supervisor:
    """The child processes of one run; their output goes to `<logs>/<name>.log`."""

    settings: Settings
    logs: Path
    max_restarts: int = 5
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start `sedi <arguments>` as the child `name`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log_file = self.logs / f"{name}.log"
        process = self._spawn(arguments, log_file, "wb")
        self.children[name] = Child(name, tuple(arguments), log_file, process, time.monotonic())

    def ended(self, name: str) -> int | None:
        """The exit code of a child, None while it runs."""
        return self.children[name].process.poll()

    def refused(self, name: str) -> bool:
        """Whether a child has ended with an exit code that a restart would repeat."""
        return self.children[name].process.poll() in _PERMANENT

    def revive(self, name: str) -> bool:
        """Restart a child that ended with an error, with exponential backoff; True when it did.

        Does not restart one whose exit code is permanent. Raises RunError, with the end of its log, after
        `max_restarts`.
        """
        child = self.children[name]
        code = child.process.poll()
        if code in (None, 0, *_PERMANENT) or child.stopping:
            return False
        if child.restarts >= self.max_restarts:
            raise RunError(
                f"The {name} ended with exit code {code} after {child.restarts} restarts. "
                f"The end of {child.log_file}:\n{self.tail(name)}"
            )
        if time.monotonic() - child.started < 2.0**child.restarts:
            return False
        child.restarts += 1
        child.started = time.monotonic()
        child.process = self._spawn(child.arguments, child.log_file, "ab")
        return True

    def ask_to_stop(self, name: str) -> None:
        """Send SIGTERM to a running child without waiting; does nothing for one that was never started."""
        child = self.children.get(name)
        if child is not None:
            child.stopping = True
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)

    def stop(self, name: str, wait_s: float = 60.0) -> int | None:
        """SIGTERM a child and wait for its end; SIGKILL after `wait_s`. Its exit code, None if it was never started."""
        child = self.children.get(name)
        if child is None:
            return None
        self.ask_to_stop(name)
        try:
            child.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        return child.process.returncode

    def kill(self) -> None:
        """SIGKILL every child and wait until they have ended."""
        self.kill_now()
        for child in self.children.values():
            child.process.wait()

    def kill_now(self) -> None:
        """SIGKILL every child without waiting; safe in a signal handler."""
        for child in self.children.values():
            child.stopping = True
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()

    def news(self, name: str) -> str:
        """A child's last status line; empty before the first."""
        path = _news_file(self.children[name].log_file)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        return lines[-1] if lines else ""

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a child's output."""
        text = self.children[name].log_file.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _spawn(self, arguments: Sequence[str], log_file: Path, mode: str) -> subprocess.Popen[bytes]:
        environment = {**child_environment(self.settings), NEWS: str(_news_file(log_file).resolve())}
        if mode == "wb":
            _news_file(log_file).unlink(missing_ok=True)
        with log_file.open(mode) as log:
            return subprocess.Popen(
                python_module("sedi", *arguments),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a child with these settings, which ends with this process (`die_with_parent`).

    One port is not enough for several children: each serves its metrics at one that is free.
    """
    # No progress bars: the output of children goes to files.
    quiet = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_WAIT_POLICY": "passive"}
    ports = {} if settings.metrics_port is None else {"SEDI_METRICS_PORT": "0"}
    return {**os.environ, **environment_of(settings), **ports, **quiet, PARENT: str(os.getpid())}


def _news_file(log_file: Path) -> Path:
    return log_file.with_suffix(".news")


def write_news(line: str) -> None:
    """Write a status line for the supervisor of this process, if it has one."""
    path = os.environ.get(NEWS)
    if path is not None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def die_with_parent() -> None:
    """Called by a child on starting: it gets SIGTERM when its supervisor dies. Linux only.

    Does nothing in a process without a supervisor.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it died before the prctl call
        os.kill(os.getpid(), signal.SIGTERM)
