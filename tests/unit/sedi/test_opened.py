"""A run opened from Python: its data frames are what the report counts, and the rest is what the commands say."""

import asyncio
import json
import re
from pathlib import Path

import polars as pl
import pytest

import sedi
from schemas.errors import ConfigurationError, RunError
from sedi.api import columns
from sedi.main import main
from tests.golden import HERE, NAMES

ROOT = Path(__file__).parents[3]
FRAMES = {
    "kept": columns.KEPT,
    "rejected": columns.REJECTED,
    "seeds": columns.SEEDS,
    "calls": columns.CALLS,
    "training": columns.TRAINING,
    "measured": columns.MEASURED,
    "answers": columns.ANSWERS,
    "judgements": columns.JUDGEMENTS,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_frames_hold_what_the_report_counts_each_event_once(name: str) -> None:
    with sedi.open(HERE / name) as run:
        report = run.report(seeds=True)
        kept, rejected, calls = run.kept(), run.rejected(), run.calls()
        seeds, training = run.seeds(), run.training()

    assert kept.height == report.kept == kept["id"].n_unique()
    assert dict(kept.group_by("cluster").len().sort("cluster").iter_rows()) == dict(enumerate(report.clusters))
    assert dict(rejected.group_by("reason").len().iter_rows()) == report.rejected
    outcomes = dict(calls.group_by(pl.col("outcome").cast(pl.String)).len().iter_rows())
    counted = {kind: getattr(report.calls, kind) for kind in ("answered", "failed", "lost", "open")}
    assert outcomes == {kind: number for kind, number in counted.items() if number}
    assert calls.height == report.calls.started == calls.unique(["request_id", "attempt"]).height
    assert training["step"].to_list() == list(range(1, report.steps + 1))
    assert training["window"].n_unique() == report.windows and training["replaced"].sum() == report.replacements
    active = seeds.filter("active")
    assert [(row["id"], row["score"]) for row in active.iter_rows(named=True)] == [
        (seed.id, seed.score) for seed in report.seeds or ()
    ]
    assert seeds.height - active.height == report.replacements
    assert seeds.filter(~pl.col("active"))["replaced_by"].null_count() == 0


def test_what_the_interrupted_run_has_more_than_once_is_there_to_be_dropped() -> None:
    assert sedi.open(HERE / "interrupted").report().duplicates == {"kept": 4, "rejected": 1}


@pytest.mark.parametrize("frame", FRAMES)
def test_each_frame_has_its_columns_and_types_also_when_it_is_empty(frame: str, tmp_path: Path) -> None:
    for name in NAMES:
        assert getattr(sedi.open(HERE / name), frame)().schema == FRAMES[frame]


@pytest.mark.parametrize("frame", FRAMES)
def test_the_page_lists_each_column_with_its_type(frame: str) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    section = page.split(f"### `{frame}()`\n")[1].split("\n### ")[0].split("\n## ")[0]
    listed = {
        name: kind
        for names, kind in re.findall(r"^\| (`.+?`) \| (.+?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert listed == {name: _type(kind) for name, kind in FRAMES[frame].items()}


def _type(kind: pl.DataType) -> str:
    return type(kind).__name__ if isinstance(kind, pl.Enum | pl.Datetime) else str(kind)


def test_rows_carry_the_seeds_they_came_from_and_rejections_their_texts() -> None:
    run = sedi.open(archive=HERE / "undisturbed")
    assert run.kept()["seed_ids"].list.len().min() == 2
    first = run.rejected().row(0, named=True)
    story = run.explain(first["id"])
    assert story.instruction is not None and story.instruction.verdict.reason == first["reason"]
    assert (story.instruction.instruction, story.instruction.output) == (first["instruction"], first["output"])
    assert [seed.id for seed in story.instruction.generation.seeds] == list(first["seed_ids"])


def test_the_command_line_says_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = HERE / "undisturbed"
    run = sedi.open(folder)
    id = run.kept()["id"][0]

    assert main(["explain", id, "--from-files", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instruction"]["id"] == id
    assert run.explain(id[:8]).prompts
    assert main(["replay", "--from-files", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digests"] == run.replay().digests
    assert main(["export", str(tmp_path / "by-command"), "--from-files", str(folder)]) == 0
    exported = run.export(tmp_path / "by-python")
    assert exported.rows == run.kept().height
    for file in exported.files:
        assert (tmp_path / "by-command" / file.name).read_bytes() == (tmp_path / "by-python" / file.name).read_bytes()


def test_the_audit_scores_a_sample_with_the_reference_package() -> None:
    done: list[tuple[int, int]] = []
    found = sedi.open(HERE / "dead-letters").replay(reference=3, progress=lambda *at: done.append(at))
    assert found.reference is not None and (found.reference.sampled, found.reference.differences) == (3, 0)
    assert done


def test_it_reads_in_a_notebook_where_an_event_loop_runs() -> None:
    async def cell() -> int:
        return sedi.open(HERE / "dead-letters").kept().height

    assert asyncio.run(cell()) == sedi.open(HERE / "dead-letters").kept().height


def test_once_closed_it_reads_no_more() -> None:
    with sedi.open(HERE / "undisturbed") as run:
        assert run.run == "undisturbed" and str(HERE) in repr(run)
    with pytest.raises(RunError, match=r"was closed\. Open it again"):
        run.kept()
    assert "closed" in repr(run)


def test_wrong_places_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not an archive of a run"):
        sedi.open(tmp_path)
    with pytest.raises(ConfigurationError, match=r"For an archive: sedi\.open\(archive="):
        sedi.open(str(tmp_path))
    with pytest.raises(ConfigurationError, match="Open one of them"):
        sedi.open("demo", archive=tmp_path)
    with pytest.raises(ConfigurationError, match="5 is not the name of a run"):
        sedi.open(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Run name 'No Name' will not do"):
        sedi.open("No Name")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["seeds", "list"], "Seeds of run dead-letters"),
        (["seeds", "history"], "Seed replacements of run dead-letters"),
        (["dlq", "list"], "dead letters of run dead-letters"),
    ],
)
def test_a_command_names_the_archives_own_run(
    command: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--from-files", str(HERE / "dead-letters")]) == 0
    assert shown in capsys.readouterr().out


def test_a_dead_letter_that_an_archive_lacks_is_looked_for_in_the_archive(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(HERE / "dead-letters")
    assert main(["dlq", "show", "kept", "9999", "--from-files", folder]) == 1
    assert f"sedi dlq list --from-files {folder} --topic kept" in capsys.readouterr().err


def test_the_package_names_what_it_offers_and_nothing_else() -> None:
    assert set(sedi.__all__) <= set(dir(sedi))
    assert all(getattr(sedi, name) for name in sedi.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'opne'"):
        sedi.opne  # noqa: B018
