"""`sedi run` from Python: the same command in a process of its own, watched from here.

The process has its own event loops, signals and libraries, so a notebook keeps its own. It ends with the program that
called: at an interrupt (Ctrl-C, a notebook's stop button) in order, as in a terminal, and at a second one at once.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

import msgspec

from consumers.report import Report
from infra.distribution import python_module
from infra.machine.supervisor import PARENT
from schemas.errors import BrokerError, ConfigurationError, RunError, SediError
from sedi.options import ExitCode, words_of
from sedi.toml_text import given, toml

_COMMAND = ("run", "--json", "--preset")
"""What the file's name follows on the command line."""

_ERROR = "sedi: "
"""What the command's error begins with; it may go on over further lines."""

_ERRORS: Mapping[int, type[SediError]] = {ExitCode.USAGE: ConfigurationError, ExitCode.UNREACHABLE: BrokerError}


_FORWARDED = 2
"""The first interrupt ends the run in order, the second at once."""


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    reason    why, in words
    reached   whether it came to the end that was asked for: its windows, a budget
    report    what it made and what it cost
    """

    reason: str
    reached: bool
    report: Report


def run(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    run: str | None = None,
    bootstrap_servers: str | None = None,
    state_dir: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> RunOutcome:
    """Run `sedi run` with this configuration until it ends.

    config   a file, the name of one that comes with the program (`demo`), or what such a file holds as a mapping
    run      the run's name; default: the configuration's `run`, else `demo`. A run that is there goes on where it was
    say      is given each line of progress; default: they are printed to standard error

    Raises what the command would end with: ConfigurationError for a wrong configuration, BrokerError when no cluster
    answers, RunError when a part of the run failed.
    """
    folder = None if state_dir is None else os.fspath(state_dir)
    flags = words_of({"--run": run, "--bootstrap-servers": bootstrap_servers, "--state-dir": folder})
    with _file_of(config) as file, tempfile.TemporaryFile() as printed:
        shown = re.compile(rf"{re.escape(file)}(:\d+:\d+)?") if isinstance(config, Mapping) else None
        code, last = _watched([*_COMMAND, file, *flags], printed, say or _print, shown)
        printed.seek(0)
        text = printed.read()
    if not text:
        kind = _ERRORS.get(code, RunError)
        raise kind(_ending(code, last))
    outcome = msgspec.json.decode(text, type=RunOutcome)
    if code == ExitCode.FAILED:
        raise RunError(f"The run failed: {outcome.reason}")
    return outcome


@contextmanager
def _file_of(config: str | os.PathLike[str] | Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(config, Mapping):
        yield os.fspath(config)
        return
    with tempfile.TemporaryDirectory(prefix="sedi-run-") as folder:
        file = Path(folder) / "run.toml"
        text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in given(config))
        try:
            file.write_text(text, "utf-8")
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"A text of the configuration holds {error.object[error.start]!r}, half a character. Take it out."
            ) from None
        yield str(file)


def _ending(code: int, last: str) -> str:
    """The error that the command printed; how it ended where that was not by itself."""
    if last.startswith(_ERROR) and code > 0:
        return last.removeprefix(_ERROR)
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"`sedi run` {how} and printed no error{f'; its last line: {last}' if last else ''}."


def _watched(
    arguments: Sequence[str], printed: IO[bytes], say: Callable[[str], None], file: re.Pattern[str] | None
) -> tuple[int, str]:
    """Run the command to its end; its exit code and its last error with all its lines, or its last line.

    file   what names the temporary file of a configuration that was given as a mapping
    """
    last: list[str] = []
    with _forwarded_interrupts() as forward_to:
        process = subprocess.Popen(
            python_module("sedi", *arguments),
            env={**os.environ, PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        forward_to(process)
        assert process.stderr is not None
        with process:
            while True:
                try:
                    for line in process.stderr:
                        shown = line.rstrip("\n") if file is None else file.sub("the configuration", line.rstrip("\n"))
                        goes_on = last and last[0].startswith(_ERROR) and not shown.startswith(_ERROR)
                        last = [*last, shown] if goes_on else [shown]
                        say(shown)
                    return process.wait(), "\n".join(last)
                except KeyboardInterrupt:
                    process.send_signal(signal.SIGINT)
                except BaseException:  # of `say`: nobody watches any more
                    process.terminate()
                    raise


@contextmanager
def _forwarded_interrupts() -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Within the block SIGINT is sent on to the process that is given to the function, also an earlier one.

    A KeyboardInterrupt could surface where it is lost: in a `say` that keeps exceptions to itself, in the decoding of a
    line, before the process is watched. So it is raised only from the third SIGINT on, in case `say` hangs. Changes
    nothing where the program handles SIGINT in its own way, or ignores it, or in another thread, which gets none.
    """
    received: list[int] = []
    processes: list[subprocess.Popen[str]] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > _FORWARDED:
            raise KeyboardInterrupt
        for process in processes:
            process.send_signal(number)

    def forward_to(process: subprocess.Popen[str]) -> None:
        early = list(received)
        processes.append(process)
        for number in early:
            process.send_signal(number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not (in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield forward_to
        return
    signal.signal(signal.SIGINT, receive)
    try:
        yield forward_to
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")
