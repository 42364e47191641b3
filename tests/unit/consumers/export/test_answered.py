"""An export of a run that answers kept instructions alone: rows with their answers, and the others counted."""

import json
from pathlib import Path

import msgspec
import polars as pl

from consumers.export.manifest import LeftOutUnanswered
from consumers.export.run import ExportOptions, export
from consumers.trainer.data.offline import from_file
from schemas import ids
from schemas.events import InstructionAnswered
from sedi.api.frames import kept_frame
from tests.unit.consumers.answered_story import AnsweredStory, answered_run
from tests.unit.consumers.export.memory import MemorySource
from tests.unit.consumers.recorded_run import row_id
from tests.unit.consumers.story import short_run

ALL = ExportOptions(formats=("alpaca", "parquet"))


def source(story: AnsweredStory) -> MemorySource:
    return MemorySource(story.run, story.records(), story.batch_size)


def test_rows_have_the_output_of_their_answer_and_those_without_one_are_counted(tmp_path: Path) -> None:
    story = answered_run()
    manifest = export(source(story), tmp_path / "data", ALL)

    used = [(0, 0), (0, 1), (2, 2)]
    rows = json.loads((tmp_path / "data" / "alpaca.json").read_bytes())
    assert [row["output"] for row in rows] == [f"Output of Task {place} of {number}" for number, place in used]
    assert {row["input"] for row in rows} == {"so"}
    assert manifest.unanswered == LeftOutUnanswered(waiting=1, unused={"cut_output": 1})
    ends = {(one.topic, one.partition): one.end for one in manifest.offsets}
    assert (ends["answered", 0], ends["answered", 1]) == (4, 1), "the repeat is passed over"

    table = pl.read_parquet(tmp_path / "data" / "rows.parquet")
    assert table["id"].to_list() == [row_id(*at) for at in used]
    assert set(table["answer_model"]) == {"answering"}
    requests = [(ids.generation_id("main", number), ids.answered_id(row_id(number, place))) for number, place in used]
    assert table["request_ids"].to_list() == [[ids.request_id(one, 0) for one in pair] for pair in requests]
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    for line in ("answering (4 answers)", "1.000000 USD", "| left out without an answer yet | 1 rows |", "cut_output"):
        assert line in card
    read = from_file(tmp_path / "data" / "alpaca.json", None)
    assert (read.rows, read.policy.answer) == (3, "kept")


def test_the_same_answers_give_the_same_bytes_however_they_are_mixed(tmp_path: Path) -> None:
    story, other = answered_run(), answered_run()
    answers = [entry for entry in other.written if isinstance(entry.event, InstructionAnswered)]
    other.written = [entry for entry in other.written if entry not in answers]
    other.written += sorted(answers, key=lambda entry: -entry.partition)
    for name, told in (("a", story), ("b", other)):
        export(source(told), tmp_path / name, ALL)
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_a_run_whose_rows_had_their_outputs_joins_one_whose_rows_got_them_later(tmp_path: Path) -> None:
    plain = short_run("plain")
    also = [MemorySource(plain.run, plain.records(), plain.batch_size)]
    manifest = export(source(answered_run()), tmp_path / "data", ALL, also=also)
    table = pl.read_parquet(tmp_path / "data" / "rows.parquet")
    assert table.filter(pl.col("origin") == "plain")["answer_model"].null_count() == manifest.rows - 3 > 0
    assert isinstance(manifest.added, msgspec.Struct)
    assert isinstance(manifest.added.runs[0].unanswered, msgspec.UnsetType)


def test_the_frame_of_kept_rows_has_all_of_them_and_says_which_are_used() -> None:
    frame = kept_frame(source(answered_run()))
    assert frame.height == 5
    found = {(row["generated_offset"], row["place"]): row for row in frame.iter_rows(named=True)}
    assert found[0, 0]["output"] == "Output of Task 0 of 0"
    assert (found[0, 2]["output"], found[0, 2]["unused"], found[0, 2]["answer_model"]) == (None, None, None)
    assert found[2, 0]["unused"] == "cut_output"
