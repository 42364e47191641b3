"""`sedi eval report` of a run on the real log and of its archive, as the command that people call."""

import json
from pathlib import Path

import pytest

from infra.cluster.topics import apply
from infra.log.archiving import write_archive
from infra.log.writer import LogWriter
from infra.settings import Settings
from sedi.main import main
from tests.unit.consumers.evaluation.evaluation_story import EvaluationStory, whole_evaluation
from tests.unit.consumers.recorded_run import source_of


def write(cluster: Settings, story: EvaluationStory) -> None:
    apply(cluster, story.run, story.batch_size)
    with LogWriter(cluster, story.run, "test") as log:
        story.write(log)


def test_a_run_with_everything_twice_and_its_archive_give_the_report_of_the_events(
    cluster: Settings, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from consumers.evaluation.report import evaluation_report

    story = whole_evaluation(run)
    write(cluster, story)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
    archive, html, plots = tmp_path / "archive", tmp_path / "page.html", tmp_path / "plots"
    write_archive(cluster, run, archive)
    expected = evaluation_report(source_of(story))

    assert main(["eval", "report", "--run", run, "--json", "--html", str(html), "--plot", str(plots)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main(["eval", "report", "--from-files", str(archive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert printed["notes"] == list(expected.notes)
    assert [score["accuracy"]["value"] for score in printed["benchmarks"]] == [
        score.accuracy.value for score in expected.benchmarks
    ]
    assert [(s["win"], s["tie"], s["lose"]) for s in printed["comparisons"]] == [
        (score.win, score.tie, score.lose) for score in expected.comparisons
    ]
    assert "<svg" in html.read_text()
    assert len(list(plots.iterdir())) == 4

    assert main(["eval", "report", "--run", run, "--model", "after", "--equal", "decided"]) == 0
    shown = capsys.readouterr().out
    assert "ARC (both)" in shown
    assert "owner/base" not in shown
    assert main(["eval", "report", "--run", run, "--model", "nobody"]) == 2
    assert "There is before@aaaaaaaaaaaa, after@bbbbbbbbbbbb, third@endpoint/big" in capsys.readouterr().err
    assert main(["eval", "report", "--run", run, "--equal", "coin"]) == 2
    assert "--equal takes tie, decided, average" in capsys.readouterr().err


def test_a_run_without_evaluations_names_the_commands_that_make_one(
    cluster: Settings, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    story = EvaluationStory(run)
    story.configure()
    write(cluster, story)

    assert main(["eval", "report", "--run", run]) == 0
    shown = capsys.readouterr().out
    assert f"There is no evaluation on the log of run '{run}'" in shown
    assert f"sedi eval benchmarks builtin --task arc_easy --data FOLDER --run {run}" in shown
    assert main(["eval", "report", "--run", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["benchmarks"] == []

    assert main(["eval", "report", "--run", f"{run}-not"]) == 1
    assert "there is no topic" in capsys.readouterr().err
