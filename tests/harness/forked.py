"""Processes for crash tests, forked from one that has imported torch, DeepSpeed, Faust and the project.

These imports take seconds, and crash tests need a hundred processes. Each has its own environment, folder and output;
only the imports are shared. `tests.e2e` tests processes as a user starts them.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.settings import Settings, environment_of
from tests.conftest import ROOT

_PR_SET_PDEATHSIG = 1
_ABORT_S = 5.0
_SHOWN_LINES = 200
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.harness.loaded", __name__])


class Forked:
    """A process, with the interface of `subprocess.Popen`."""

    def __init__(self, process: Any, output: Path) -> None:
        self._process = process
        self._output = output
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code.

        Raises subprocess.TimeoutExpired after `timeout` seconds, with the end of the output. The process is aborted
        then, and its output ends with the stacks of its threads.
        """
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            self.send_signal(signal.SIGABRT)
            self._process.join(_ABORT_S)
            expired = subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
            expired.add_note(self.last_lines())
            raise expired
        return code

    def last_lines(self) -> str:
        """The end of its output."""
        written = self._output.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return "\n".join([f"The end of {self._output}:", *written])

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    work: Callable[..., int | None],
    *arguments: Any,
    settings: Settings,
    output: Path,
    folder: Path = ROOT,
    further: Mapping[str, str] | None = None,
) -> Forked:
    """Start `work(*arguments)` in a process; it returns the exit code, None for 0.

    settings   added to its environment, as are the `further` variables
    output     the file to which standard output and error are appended
    folder     its working directory
    """
    begin = (work, arguments, {**os.environ, **environment_of(settings), **(further or {})}, folder, output)
    process = _CONTEXT.Process(target=_begin, args=begin, name=f"{work.__module__}.{work.__qualname__}")
    process.start()
    return Forked(process, output)


def _begin(
    work: Callable[..., int | None], arguments: tuple[Any, ...], environment: dict[str, str], folder: Path, output: Path
) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # when its parent ends
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()  # for `Forked.wait`
    raise SystemExit(work(*arguments) or 0)
