"""`sedi export` of a run on the real log, as the command that people call."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sedi
from infra.cluster.topics import apply
from infra.log.archiving import write_archive
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from sedi.main import main
from tests.unit.consumers.answered_story import answered_run
from tests.unit.consumers.story import Story, short_run


@pytest.fixture
def story(cluster: Settings, run: str) -> Story:
    """A run on the log in which everything but the generations stands twice, and that goes on."""
    story = short_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
        for entry in story.written:
            if entry.topic in ("kept", "rejected"):
                log.write(entry.event, key=entry.key, id=entry.id, partition=entry.partition)
        going_on = Story(run)
        going_on.generate(3)
        going_on.keep(3, 3, 0, 1)
        going_on.write(log)
    return story


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def called(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["export", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_cluster_and_an_archive_of_it_give_the_same_files_byte_by_byte(
    cluster: Settings, story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = [word for name in ("alpaca", "sharegpt", "openai", "trl", "parquet") for word in ("--format", name)]
    write_archive(cluster, story.run, tmp_path / "archive")

    told = called(capsys, str(tmp_path / "live"), "--run", story.run, *formats)
    called(capsys, str(tmp_path / "again"), "--from-files", str(tmp_path / "archive"), *formats, "--through", "2")

    assert contents(tmp_path / "live") == contents(tmp_path / "again")
    rows = pl.read_parquet(tmp_path / "live" / "rows.parquet")["id"].to_list()
    at = [(0, 0), (0, 2), (1, 1), (2, 0)]
    assert rows == [ids.instruction_id(ids.generation_id("main", number), place) for number, place in at]
    assert (told["run"], told["through"], told["rows"]) == (story.run, 2, 4)
    assert [row["instruction"] for row in json.loads((tmp_path / "live" / "alpaca.json").read_bytes())] == [
        f"Task {place} of {number}" for number, place in at
    ]


def test_rows_that_are_answered_later_are_exported_alike_from_the_cluster_and_an_archive(
    cluster: Settings, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = answered_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
    write_archive(cluster, run, tmp_path / "archive")
    told = called(capsys, str(tmp_path / "live"), "--run", run, "--format", "parquet")
    called(capsys, str(tmp_path / "again"), "--from-files", str(tmp_path / "archive"), "--format", "parquet")
    assert contents(tmp_path / "live") == contents(tmp_path / "again")
    assert (told["rows"], told["unanswered"]) == (3, {"waiting": 1, "unused": {"cut_output": 1}})
    with sedi.open(run) as reading:
        assert reading.kept().filter(pl.col("output").is_not_null()).height == 4


def test_partitions_that_are_longer_than_what_is_fetched_ahead_are_merged_to_their_ends(
    cluster: Settings, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Story(run)
    story.configure()
    generations, each = 60, 100
    for number in range(generations):
        story.generate(number, count=each)
        story.decide(number, number, {place: place % 2 for place in range(each)}, {})
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        sent = [log.send(entry.event, key=entry.key, id=entry.id, partition=entry.partition) for entry in story.written]
        for pending in sent:
            log.wait(pending)

    assert called(capsys, str(tmp_path / "data"), "--run", run)["rows"] == generations * each


def test_verify_ends_with_0_for_what_was_written_and_with_1_for_anything_else(
    cluster: Settings, story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    ended = subprocess.run(
        [sys.executable, "-m", "sedi", "export", str(folder), "--run", story.run],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "4 rows" in ended.stdout

    assert called(capsys, str(folder), "--verify")["same"]
    with (folder / "alpaca.json").open("ab") as file:
        file.write(b"\n")
    assert called(capsys, str(folder), "--verify", code=1)["differences"][0]["name"] == "alpaca.json"


def test_a_wrong_call_says_what_is_wrong_and_leaves_nothing(
    cluster: Settings, story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "data")
    for wrong, code, said in [
        (["--format", "csv"], 2, "--format 'csv' is not known. Choose from alpaca,"),
        (["--license", "my own: terms"], 2, "is not a name that hubs use"),
        (["--cluster", "2"], 2, "There is no --cluster 2"),
        (["--through", "3"], 1, "Offset 3 of generated is not decided"),
        (["--exclude", str(tmp_path / "none.txt")], 2, "cannot be read as a list of instruction ids"),
    ]:
        assert main(["export", target, "--run", story.run, *wrong]) == code
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_further_run_of_the_cluster_joins_with_what_the_first_lacks(
    cluster: Settings, story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Story(f"{story.run}-other")
    other.configure()
    other.generate(0, count=5)
    other.decide(0, 0, {0: 0, 4: 1}, {1: "similar", 2: "similar", 3: "similar"})
    apply(cluster, other.run, other.batch_size)
    with LogWriter(cluster, other.run, "test") as log:
        other.write(log)

    told = called(capsys, str(tmp_path / "both"), "--run", story.run, "--also-run", other.run)

    assert (told["rows"], told["added"]["run_rows"]) == (5, 4)
    assert [(one["origin"], one["duplicates"], one["rows"]) for one in told["added"]["runs"]] == [(other.run, 1, 1)]
    called(capsys, str(tmp_path / "both"), "--verify")
