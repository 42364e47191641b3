"""The report shows how a run's training did on held-out rows, if its folder tells of that run."""

import json
from pathlib import Path

import pytest

from consumers.trainer.record.metrics import METRICS, HeldOutLine, MetricsFile, TrainingLine
from infra.log.archive import ArchiveSource
from sedi.main import main
from tests.golden import HERE

GOLDEN = HERE / "undisturbed"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """The folder of a training of the golden run."""
    file = MetricsFile(tmp_path / METRICS, TrainingLine(run=ArchiveSource(GOLDEN).run, model="m"), 0)
    for step, loss in ((0, 2.5), (10, 2.0), (20, 1.75)):
        file.add(HeldOutLine(step=step, loss=loss, rows=200, tokens=9, seconds=1.0, file="f", sha256="a"))
    file.close()
    return tmp_path


def test_held_out_losses_are_shown_as_a_line_and_whole_in_json(
    training: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["report", "--from-files", str(GOLDEN), "--training", str(training)]
    assert main(command) == 0
    assert "2.5000 (step 0) to 1.7500 (step 20) on 200 rows █▃▁" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["held_out"]
    assert [(line["step"], line["loss"]) for line in found] == [(0, 2.5), (10, 2.0), (20, 1.75)]


def test_without_a_training_there_is_no_such_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from-files", str(GOLDEN), "--state-dir", str(tmp_path)]) == 0
    assert "held-out" not in capsys.readouterr().out
