"""One data set of several sources: each without what was there before, and every row says where it is from."""

import hashlib
import json
from pathlib import Path

import msgspec
import polars as pl
import pytest

import sedi
from consumers.export.manifest import Added, differences, read_manifest
from consumers.export.run import FORMATS, ExportOptions, export
from consumers.trainer.data.offline import from_file
from schemas.errors import ConfigurationError
from sedi.main import main
from tests.golden import HERE
from tests.unit.consumers.export.memory import MemorySource
from tests.unit.consumers.export.test_export import contents, lines, short_story, source
from tests.unit.consumers.story import Story

ARCHIVE = HERE / "undisturbed"


def other_run(run: str = "other") -> MemorySource:
    """Equal to a row of the first run in one row, and with one of its own."""
    story = Story(run)
    story.configure()
    story.generate(0, count=5)
    story.decide(0, 0, {0: 1, 4: 0}, {1: "similar", 2: "similar", 3: "similar"})
    source = MemorySource(run, story.records(), story.batch_size)
    source.name = f"the other run {run!r}"
    return source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Five rows: a new one, one of the run in other letters, itself again, one with an input, one without output."""
    rows = [
        {"instruction": "Name a river", "output": "Elbe"},
        {"instruction": "task 0 OF 0!", "output": "another answer"},
        {"instruction": "Name a river.", "output": "Oder"},
        {"instruction": "Name a river", "input": "in the east", "output": "Neisse"},
        {"instruction": "Name a lake", "output": " "},
    ]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(rows))
    return path


def mixed(folder: Path, file: Path, also: tuple[MemorySource, ...] = (), threshold: float | None = None) -> Added:
    options = ExportOptions(formats=FORMATS, with_files=(file,), with_threshold=threshold)
    manifest = export(source(short_story()), folder, options, also=also)
    assert isinstance(manifest.added, Added)
    return manifest.added


def test_rows_of_runs_and_files_follow_without_those_that_are_there_and_are_counted(tmp_path: Path, file: Path) -> None:
    added = mixed(tmp_path / "all", file, (other_run(),))

    (run,), (own,) = added.runs, added.files
    assert (added.run_rows, run.rows, run.duplicates, run.through, run.kept) == (5, 1, 1, 0, 2)
    assert (own.file_rows, own.without_output, own.duplicates, own.similar, own.rows) == (5, 1, 2, 0, 2)
    assert own.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert {(at.topic, at.end) for at in run.offsets if at.topic != "kept"} == {
        ("run", 1),
        ("generated", 1),
        ("rejected", 1),
    }
    rows = json.loads((tmp_path / "all" / "alpaca.json").read_bytes())
    assert [row["instruction"] for row in rows[5:]] == ["Task 4 of 0", "Name a river", "Name a river"]
    assert [row["input"] for row in rows[5:]] == ["", "", "in the east"]
    manifest = read_manifest(tmp_path / "all")
    assert manifest.rows == len(rows) == 8 and manifest.added == added
    assert {file.rows for file in manifest.files if file.rows is not None} == {8}
    assert differences(tmp_path / "all")[1] == ()


def test_every_row_names_its_source_where_the_format_has_room(tmp_path: Path, file: Path) -> None:
    mixed(tmp_path / "all", file, (other_run(), other_run("demo")))
    origins = ["demo"] * 5 + ["other"] + ["own.json"] * 2

    lineage = lines(tmp_path / "all" / "lineage.jsonl")
    assert [line["origin"] for line in lineage] == origins
    assert lineage[7] == {"id": f"{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}/3", "origin": "own.json"} | {
        "file_place": "row 4"
    }
    table = pl.read_parquet(tmp_path / "all" / "rows.parquet")
    assert table["origin"].to_list() == origins
    assert table["file_place"].to_list() == [None] * 6 + ["row 1", "row 4"]
    assert table["id"].to_list() == [line["id"] for line in lineage]
    shared = json.loads((tmp_path / "all" / "sharegpt.json").read_bytes())
    assert [row["id"] for row in shared] == [f"{line['origin']}:{line['id']}" for line in lineage]
    card = (tmp_path / "all" / "README.md").read_text()
    assert "## Sources" in card and "| demo (2) | run |" in card and "| own.json | file | 5 | 1 | 2 | 0 | 2 |" in card


def test_the_same_sources_give_the_same_bytes_and_none_the_bytes_of_before(tmp_path: Path, file: Path) -> None:
    for name in ("a", "b"):
        mixed(tmp_path / name, file, (other_run(),))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    export(source(short_story()), tmp_path / "alone", ExportOptions(formats=FORMATS))
    assert b"added" not in (tmp_path / "alone" / "manifest.json").read_bytes()
    assert b"origin" not in (tmp_path / "alone" / "lineage.jsonl").read_bytes()


def test_a_threshold_leaves_out_what_is_more_similar_than_it_to_any_row_before(tmp_path: Path, file: Path) -> None:
    added = mixed(tmp_path / "all", file, (other_run(),), threshold=0.7)
    assert (added.with_threshold, added.runs[0].similar, added.runs[0].rows) == (0.7, 1, 0)
    assert (added.files[0].duplicates, added.files[0].similar, added.files[0].rows) == (2, 1, 1)


def test_texts_without_a_token_are_equal_only_if_they_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(json.dumps({"instruction": text, "output": "y"}) for text in ("河", "湖", "河 ")))
    assert mixed(tmp_path / "all", file).files[0].rows == 2


def test_a_training_deals_the_rows_of_several_sources(tmp_path: Path, file: Path) -> None:
    mixed(tmp_path / "all", file)
    rows = from_file(tmp_path / "all" / "alpaca.json", None)
    assert (rows.run, rows.rows) == ("demo", 7)


def test_what_cannot_be_added_is_said_before_anything_is_written(tmp_path: Path, file: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('[{"instruction": "Go"}]')
    with pytest.raises(ConfigurationError, match=r"No row of .*empty.json has an output"):
        mixed(tmp_path / "all", empty)
    with pytest.raises(ConfigurationError, match="run 'demo' in memory is given twice"):
        mixed(tmp_path / "all", file, (source(short_story()),))
    with pytest.raises(ConfigurationError, match="--with-threshold is 1"):
        ExportOptions(with_threshold=1.0)
    assert not (tmp_path / "all").exists()


def test_the_command_and_python_add_archives_and_files(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "by-command")
    other = str(HERE / "interrupted")
    called = ["export", folder, "--from-files", str(ARCHIVE), "--also-from-files", other, "--with", str(file)]
    assert main([*called, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["added"]["files"][0]["rows"] == 3
    assert told["rows"] == told["added"]["run_rows"] + told["added"]["runs"][0]["rows"] + 3

    options = ExportOptions(with_files=(file,))
    manifest = sedi.open(ARCHIVE).export(tmp_path / "by-python", options, also=[sedi.open(Path(other))])
    assert json.loads(msgspec.json.encode(manifest)) == told
    called[1] += "2"
    assert main(called) == 0
    assert "equal to an earlier row" in capsys.readouterr().out
    assert main(["export", folder + "3", "--from-files", str(ARCHIVE), "--with-threshold", "0.5"]) == 2
    assert "is for rows that are added" in capsys.readouterr().err
