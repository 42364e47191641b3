"""What docs/run-file.md shows is what the program prints and takes."""

import re
import shlex
from pathlib import Path

import pytest

from infra.settings import Settings
from sedi.main import main
from sedi.options import ExitCode

PAGE = (Path(__file__).parents[3] / "docs" / "run-file.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
WRONG = 'windows = "3"\n[policy]\nclusters = 12\n[train]\nprecision = "fp23"\nlearning_rate = 1\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEDI_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_that_is_shown_can_start() -> None:
    (text,) = (block for language, block in BLOCKS if language == "toml")
    Path("mine.toml").write_text(text, encoding="utf-8")
    assert main(["run", "mine.toml", "--check"]) == 0


@pytest.mark.parametrize("command", re.findall(r"^(sedi (?:init|run|configure) [^#\n]+)", BLOCKS[0][1], re.MULTILINE))
def test_every_command_that_is_shown_is_taken(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    prices = ["--set", "settings.usd_per_1m_prompt_tokens=1", "--set", "settings.usd_per_1m_completion_tokens=1"]
    if name == "init":
        assert main([name, *arguments]) == 0
        return
    assert main(["init", "mine.toml"]) == 0
    assert main(["run", *(word for word in arguments if word != "--check"), *prices, "--check"]) == 0


def test_the_mistakes_that_are_shown_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = next(block for _, block in BLOCKS if block.startswith("$ sedi run mine.toml"))
    command, printed = shown.split("\n", 1)
    Path("mine.toml").write_text(WRONG, encoding="utf-8")
    assert main(shlex.split(command)[2:]) == ExitCode.USAGE
    assert capsys.readouterr().err == printed


def test_the_hint_that_is_shown_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = next(block for _, block in BLOCKS if block.startswith("$ sedi run --generate"))
    command, printed = shown.split("\n", 1)
    assert main([*shlex.split(command)[2:], "--check"]) == 0
    assert capsys.readouterr().err == printed
