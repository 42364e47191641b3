"""No text of a row, a seed, a model or an endpoint steers a terminal, log, card or page; counted at a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import ROOT

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
WITHOUT_TEXTS = {"replay", "compare", "page", "export", "export--json"}
"""Scenes that show numbers and names of our own, or may."""


def at_a_terminal(*arguments: str, encoding: str = "utf-8") -> str:
    """What a command writes to a terminal without colours, 200 columns wide."""
    terminal, other_end = pty.openpty()
    termios.tcsetwinsize(other_end, (50, 200))
    command = [sys.executable, "-m", "tests.unit.sedi.hostile", *arguments]
    environment = {
        **os.environ,
        "PYTHONIOENCODING": encoding,
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        "COLUMNS": "200",
        "LINES": "50",
    }
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=other_end, stderr=other_end, env=environment, cwd=ROOT
    )
    os.close(other_end)
    written = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last writer has gone
            break
        if not piece:
            break
        written += piece
    os.close(terminal)
    assert process.wait() == 0, written[-3000:].decode(errors="replace")
    return written.decode(encoding).replace("\r\n", "\n")


def scenes(written: str) -> dict[str, str]:
    parts = re.split(r"^=== (.*)\n", written, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return scenes(at_a_terminal(str(tmp_path_factory.mktemp("hostile"))))


def test_no_scene_has_a_raw_control_character(shown: dict[str, str]) -> None:
    assert len(shown) > 25
    assert {name: len(RAW.findall(text)) for name, text in shown.items() if RAW.search(text)} == {}
    assert not [name for name, text in shown.items() if "Traceback" in text and name != "a log record"]


def test_the_hostile_texts_were_there_and_are_shown(shown: dict[str, str]) -> None:
    silent = {name for name, text in shown.items() if not re.search(r"\\(x9b|u009b|x1b|u001b)", text)}
    assert silent <= WITHOUT_TEXTS


def test_markup_and_names_of_emoji_stay_text(shown: dict[str, str]) -> None:
    assert "[red]:bomb:" in shown["seeds list"]
    assert "[red]:bomb:" in shown["tail lines"]


def test_the_count_would_find_them(tmp_path: Path) -> None:
    as_they_are = scenes(at_a_terminal(str(tmp_path), "--as-they-are"))
    assert {name for name, text in as_they_are.items() if not RAW.search(text)} <= WITHOUT_TEXTS


def test_an_encoding_that_holds_few_characters_does_not_end_a_command(tmp_path: Path) -> None:
    shown = scenes(at_a_terminal(str(tmp_path), "--no-files", encoding="ascii"))
    assert not [name for name, text in shown.items() if "UnicodeEncodeError" in text]
    assert "\\u256d" in shown["report"] or "+--" in shown["report"]
    assert json.loads(shown["report--json"])["run"]
