"""`sedi chat`: one question from a flag or a pipe, a conversation on a terminal, and answers that are stopped."""

import io
import json
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from consumers.trainer.result import chat as talking
from schemas.errors import TrainerError
from sedi.main import main
from sedi.options import ExitCode


class Parrot:
    """Repeats what it is asked, word by word; is interrupted at the word `stop`, fails at `fail`."""

    template = "chat"

    def __init__(self) -> None:
        self.turns: list[str] = []

    def answer(self, asked: str) -> Generator[str, None, None]:
        self.turns.append(asked)
        for word in asked.split():
            if word == "stop":
                raise KeyboardInterrupt
            if word == "fail":
                raise TrainerError("The model could not answer.")
            yield f"{word} "


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> Parrot:
    made = Parrot()
    monkeypatch.setattr(talking, "load", lambda folder, **_: made)
    return made


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """A terminal at which these lines are typed, and then Ctrl-D."""
    coming: Iterator[str | type[BaseException]] = iter(lines)

    def next_line(_prompt: str) -> str:
        line = next(coming, EOFError)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", next_line)


def test_a_message_is_answered_and_that_is_all(parrot: Parrot, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "folder", "--message", "one two"]) == ExitCode.OK
    assert capsys.readouterr().out == "one two \n"


def test_what_comes_from_a_pipe_is_one_question(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, "one\ntwo\n")
    assert main(["chat", "folder", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"asked": "one\ntwo", "answer": "one two ", "template": "chat"}


def test_a_conversation_goes_on_after_an_answer_was_stopped_or_failed(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "one stop", KeyboardInterrupt, "", "fail", "two")
    assert main(["chat", "folder"]) == ExitCode.OK
    found = capsys.readouterr()
    assert found.out.splitlines() == ["one  [stopped]", "", "/quit or Ctrl-D ends.", "two ", ""]
    assert "could not answer" in found.err
    assert parrot.turns == ["one stop", "fail", "two"]


def test_what_was_said_can_be_forgotten_and_the_chat_left(parrot: Parrot, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "one", "/new", "two", "/quit", "three")
    assert main(["chat", "folder"]) == ExitCode.OK
    assert parrot.turns == ["two"]


def test_a_stopped_answer_to_the_only_question_ends_as_interrupted(parrot: Parrot) -> None:
    assert main(["chat", "folder", "--message", "stop"]) == ExitCode.INTERRUPTED


def test_without_a_question_it_says_how_to_ask(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, "  \n")
    assert main(["chat", "folder"]) == ExitCode.USAGE
    assert "--message" in capsys.readouterr().err


def test_a_run_without_a_model_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["chat", "--run", "r", "--state-dir", str(tmp_path), "--message", "x"]
    assert main(command) == ExitCode.FAILED
    assert "sedi train --run r" in capsys.readouterr().err
    (tmp_path / "r" / "checkpoints" / "step-00000003").mkdir(parents=True)
    assert main(command) == ExitCode.FAILED
    assert "has checkpoints" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--device", "tpu"), ("--template", "poem")])
def test_a_name_that_is_none_is_refused_with_those_there_are(
    flag: str, value: str, parrot: Parrot, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "folder", "--message", "x", flag, value]) == ExitCode.USAGE
    assert "Choose one of" in capsys.readouterr().err
