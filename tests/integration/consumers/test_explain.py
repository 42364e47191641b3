"""`sedi explain` and `sedi withdraw` on the real log, where everything stands twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.writer import LogWriter
from schemas import ids
from sedi.main import main
from tests.unit.consumers.recorded_run import LETTER, RIVERS, RIVERS_AGAIN, row_id, whole_run

RIVERS_ID, LETTER_ID, TREES_ID = row_id(0, 0), row_id(1, 2), row_id(2, 0)


@pytest.fixture
def told(broker: TemporaryBroker, run: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a run on the log."""
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SEDI_STATE_DIR", str(broker.settings.state_dir))
    story = whole_run(run)
    apply(broker.settings, run, story.batch_size)
    with LogWriter(broker.settings, run, "test") as log:
        story.write(log)
        story.write(log)
    return run


def test_an_instruction_is_explained_as_json_and_on_one_screen(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", row_id(1, 0)[:8], "--run", told, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = printed["instruction"]
    assert (printed["id"], found["instruction"], found["verdict"]["agrees"]) == (row_id(1, 0), RIVERS_AGAIN, True)
    assert (found["nearest"]["id"], found["nearest"]["lcs"]) == (RIVERS_ID, 10)
    assert [attempt["outcome"] for attempt in found["generation"]["requests"][0]["attempts"]] == ["failed", "answered"]
    assert printed["prompts"][0]["by"] == "rebuilt by this program version"

    assert main(["explain", LETTER_ID, "--run", told]) == 0
    text = capsys.readouterr().out
    assert f"⟦{LETTER}⟧" in text
    assert "the batch its window chose" in text
    assert f"Seed {LETTER_ID}" in text
    assert len(text.splitlines()) < 60


def test_a_seed_and_a_generation_are_explained(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "seed_task_3", "--run", told]) == 0
    assert f"replaced by {RIVERS_ID} when its score was 1/3" in capsys.readouterr().out
    assert main(["explain", ids.generation_id("main", 1), "--run", told]) == 0
    assert "kept in cluster" in capsys.readouterr().out


def test_an_id_that_is_not_there_is_told_and_ends_with_1(told: str) -> None:
    called = [sys.executable, "-m", "sedi", "explain", "ffffffffff", "--run", told]

    ended = subprocess.run(called, capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"sedi: Nothing in run '{told}' on ")
    assert ended.stderr.count("\n") == 1


def test_what_came_from_a_seed_is_listed_and_its_ids_written(
    told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "withdrawn.txt"
    expected = [LETTER_ID, TREES_ID]

    assert main(["withdraw", "seed_task_3", "--run", told, "--dry-run", "--json", "-o", str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert ([row["id"] for row in printed["rows"]], printed["totals"]["steps"]) == (expected, 3)
    assert file.read_text(encoding="utf-8").split() == expected
    assert main(["withdraw", "--model", "m-2", "--run", told, "--dry-run"]) == 0
    assert "1 undecided" in capsys.readouterr().out

    assert main(["withdraw", "seed_task_3", "--run", told, "--dry-run", "--ids"]) == 0
    assert capsys.readouterr().out.split() == expected


def test_an_archive_is_explained_as_the_log_it_is_of(
    told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", str(tmp_path / "a"), "--run", told]) == 0
    capsys.readouterr()
    shown = []
    for where in (["--run", told], ["--from-files", str(tmp_path / "a")]):
        assert main(["explain", RIVERS_ID, *where, "--json"]) == 0
        shown.append(capsys.readouterr().out)

    assert RIVERS in shown[0]
    assert shown[0] == shown[1]
