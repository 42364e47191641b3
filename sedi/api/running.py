"""`sedi run` from Python: the same command in a process of its own, watched from here.

The process has its own event loops, signals and libraries, so a notebook keeps its own. It ends with the program that
called: at an interrupt (Ctrl-C, a notebook's stop button) in order, as in a terminal, and at a second one at once.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from consumers.report import Report
from infra.distribution import python_module
from infra.machine.supervisor import PARENT
from schemas.errors import BrokerError, ConfigurationError, RunError
from sedi.options import ExitCode

_COMMAND = ("run", "--json", "--preset")
"""What the file's name follows on the command line."""

_ERRORS = {ExitCode.USAGE: ConfigurationError, ExitCode.UNREACHABLE: BrokerError}


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
    run      the run's name, `demo` without one; a run that is there goes on where it was
    say      is given each line of progress; default: they are printed to standard error

    Raises what the command would end with: ConfigurationError for a wrong configuration, BrokerError when no cluster
    answers, RunError when a part of the run failed.
    """
    settings = {"--run": run, "--bootstrap-servers": bootstrap_servers, "--state-dir": state_dir}
    flags = [word for flag, value in settings.items() if value is not None for word in (flag, os.fspath(value))]
    with _file_of(config) as file, tempfile.TemporaryFile() as printed:
        code, last = _watched([*_COMMAND, file, *flags], printed, say or _print)
        printed.seek(0)
        text = printed.read()
    if not text:
        kind = _ERRORS.get(ExitCode(code), RunError)
        raise kind(last.removeprefix("sedi: "))
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
        file.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in given(config)), "utf-8")
        yield str(file)


def given(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that say something: None stands for one that is left out."""
    return ((str(key), value) for key, value in config.items() if value is not None)


def toml(value: object) -> str:
    """A value as TOML; a mapping as an inline table. Raises ConfigurationError for what TOML does not have."""
    match value:
        case bool() | int():
            return str(value).lower()
        case float():
            return repr(value)
        case str() | os.PathLike():
            return json.dumps(os.fspath(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in given(value)) + "}"
        case Sequence():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            raise ConfigurationError(f"A run's configuration cannot hold {value!r}. Give texts, numbers and lists.")


def _watched(arguments: Sequence[str], printed: IO[bytes], say: Callable[[str], None]) -> tuple[int, str]:
    """Runs the command to its end; its exit code and its last line."""
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
    last = ""
    assert process.stderr is not None
    with process:
        while True:
            try:
                for line in process.stderr:
                    last = line.rstrip("\n")
                    say(last)
                return process.wait(), last
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
            except BaseException:  # of `say`: nobody watches any more
                process.terminate()
                raise


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")
