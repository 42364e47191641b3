"""Signals that end a run, in this process and in one whose terminal is closed."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sedi.interrupts import SignalCounter


def test_the_first_signal_is_counted_and_the_second_kills_and_ends_at_once() -> None:
    said: list[str] = []
    killed: list[int] = []
    interrupts = SignalCounter(lambda: killed.append(1), said.append)
    with interrupts:
        interrupts.check()
        signal.raise_signal(signal.SIGTERM)
        interrupts.check()
        interrupts.check()
        assert said == ["Ending in order; once more to end at once"] and not killed
        signal.raise_signal(signal.SIGINT)
        assert killed == [1]
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert "Ended at once" in said[1] and len(said) == 2


def test_a_signal_in_code_that_keeps_exceptions_to_itself_still_ends_the_run() -> None:
    interrupts = SignalCounter(lambda: None, lambda line: None)
    with interrupts:
        try:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        except BaseException:  # noqa: BLE001 - as the Kafka client's event loop does
            pytest.fail("nothing is raised where the signal comes")
        with pytest.raises(KeyboardInterrupt):
            interrupts.pause(5)


def test_a_third_signal_ends_even_what_hangs() -> None:
    with SignalCounter(lambda: None, lambda line: None), pytest.raises(KeyboardInterrupt):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)


def test_a_pause_ends_with_the_signal_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupts = SignalCounter(lambda: None, lambda line: None)
    with interrupts:
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        began = time.monotonic()
        interrupts.pause(5)
        assert time.monotonic() - began < 2
        interrupts.ignore()
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.count == 1
    assert signal.getsignal(signal.SIGINT) is before


# `sedi` with a command that goes on for ever and says so on the terminal.
PROGRAM = """
import os, signal, sys, time, typer
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
os.close(os.open(os.ttyname(0), os.O_RDWR))  # it becomes the session's terminal
from sedi import main, topics
def register(app):
    @app.command()
    def forever():
        try:
            print("ready", flush=True)
            while True:
                time.sleep(0.05)
        except KeyboardInterrupt:
            print("to the terminal that is gone", flush=True)
            open(sys.argv[2], "w").write("ended in order")
            raise
topics.register = register
sys.exit(main.main(["forever"]))
"""


def in_a_terminal(file: Path) -> tuple[subprocess.Popen[bytes], int]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "-", str(file)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, ours


def test_a_command_whose_terminal_is_closed_ends_as_by_sigterm(tmp_path: Path) -> None:
    file = tmp_path / "file"
    process, terminal = in_a_terminal(file)
    try:
        assert os.read(terminal, 100).startswith(b"ready")
        os.close(terminal)
        assert process.wait(20) == 130
    finally:
        process.kill()
    assert file.read_text(encoding="utf-8") == "ended in order"
