"""A run started from Python: its configuration as a file, and how its end comes back."""

import os
import signal
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import sedi
from schemas.errors import ConfigurationError, RunError
from sedi.api import running
from sedi.api.running import given, toml

# A command that ends at the second SIGINT.
ENDS_AT_THE_SECOND = """
import signal, sys, time
received = []
signal.signal(signal.SIGINT, lambda *_: received.append(1))
while True:
    if len(received) >= 2:
        sys.exit(7)
    print("received", len(received), file=sys.stderr, flush=True)
    time.sleep(0.01)
"""


def test_a_mapping_becomes_the_file_that_says_the_same() -> None:
    config = {
        "seeds": 'a "quoted"\n\\ 🦀 \x7f\x01 name',
        "max_kept": 10,
        "fit_s": 1.5,
        "max_usd": 1e-07,
        "trainer": False,
        "generate": ["--style", "two-step"],
        "policy": {"threshold": 0.8, "rules": ("too_short",), "metric": None},
        "windows": None,
        "train": {"output": Path("models")},
    }
    read = tomllib.loads("".join(f"{key} = {toml(value)}\n" for key, value in given(config)))
    assert read == {
        **{name: config[name] for name in ("seeds", "max_kept", "fit_s", "max_usd", "trainer", "generate")},
        "policy": {"threshold": 0.8, "rules": ["too_short"]},
        "train": {"output": "models"},
    }


def test_what_no_file_can_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot hold"):
        sedi.run({"max_kept": object()})
    with pytest.raises(ConfigurationError, match="cannot hold b'demo'"):
        sedi.run({"run": b"demo"})
    with pytest.raises(ConfigurationError, match="half a character"):
        sedi.run({"seeds": "\ud800"})


def test_a_float_of_numpy_is_a_number() -> None:
    assert toml(np.float64(0.5)) == "0.5"


def test_every_line_of_an_error_is_in_the_exception_and_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        sedi.run({"max_keept": 5, "windows": 0}, state_dir=tmp_path, say=lambda _: None)
    first, *lines = str(raised.value).split("\n")
    assert first == "2 mistakes, and nothing was started:"
    assert [line.partition(": ")[0] for line in lines] == ["  the configuration"] * 2


def test_a_run_that_a_signal_ended_fails_with_its_name(tmp_path: Path) -> None:
    def kill_it(_: str) -> None:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)

    def children() -> set[int]:
        own = Path(f"/proc/{os.getpid()}/task")
        return {int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()}

    before = children()

    with pytest.raises(RunError, match="`sedi run` was ended by SIGKILL"):
        sedi.run({"generate": ["--style", "alpaca"]}, state_dir=tmp_path, bootstrap_servers="127.0.0.1:1", say=kill_it)


def test_a_wrong_configuration_raises_what_the_command_says(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(ConfigurationError, match="max_keept") as raised:
        sedi.run({"max_keept": 5}, state_dir=tmp_path, say=lines.append)
    assert lines[-1] == f"sedi: {raised.value}"
    with pytest.raises(ConfigurationError, match="Run name"):
        sedi.run("demo", run="No Name", state_dir=tmp_path, say=lines.append)


@pytest.mark.timeout(60)
def test_an_interrupt_reaches_the_run_though_the_callback_keeps_exceptions_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if said.count(line) == 1:  # the second once the first has arrived: two at once may arrive as one
            with suppress(BaseException):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(running, "python_module", lambda *_: [sys.executable, "-c", ENDS_AT_THE_SECOND])
    with pytest.raises(RunError, match=r"exit code 7 .* its last line: received \d"):
        sedi.run("demo", say=say)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.timeout(60)
def test_an_interrupt_before_there_is_a_process_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(*_: str) -> list[str]:
        signal.raise_signal(signal.SIGINT)
        return ["sleep", "50"]

    monkeypatch.setattr(running, "python_module", command)
    with pytest.raises(RunError, match="was ended by SIGINT"):
        sedi.run("demo", say=lambda _: None)


@pytest.mark.timeout(60)
def test_a_third_interrupt_ends_a_callback_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        signal.raise_signal(signal.SIGINT)
        while len(said) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(running, "python_module", lambda *_: [sys.executable, "-c", ENDS_AT_THE_SECOND])
    with pytest.raises(RunError, match="exit code 7"):
        sedi.run("demo", say=say)
