"""What an export holds, in which order, and that the same offsets give the same bytes."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from consumers.export.manifest import differences, read_manifest
from consumers.export.parquet import ROWS_A_GROUP
from consumers.export.run import FORMATS, ExportOptions, export
from infra.log.record import Record
from infra.tables import read_tasks
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import InstructionKept, InstructionsGenerated
from tests.unit.consumers.export.memory import MemorySource
from tests.unit.consumers.story import Story, Written

ALL = ExportOptions(formats=FORMATS)


def row_id(number: int, place: int) -> str:
    return ids.instruction_id(ids.generation_id("main", number), place)


def short_story() -> Story:
    """Three decided generations over two clusters; of the second nothing was kept."""
    story = Story()
    story.configure()
    story.generate(0, ("seed-0", "seed-1"))
    story.generate(1, ("seed-2",), count=2)
    story.generate(2, ("seed-3",))
    story.decide(0, 0, {0: 1, 1: 0, 2: 1}, {})
    story.decide(1, 1, {}, {0: "too_short", 1: "similar"})
    story.decide(2, 2, {0: 0, 2: 0}, {1: "similar"})
    return story


def source(story: Story) -> MemorySource:
    return MemorySource(story.run, story.records(), story.batch_size)


def exported(story: Story, folder: Path, options: ExportOptions = ALL) -> Path:
    export(source(story), folder, options)
    return folder


def changed(story: Story, id: str, **fields: str) -> Story:
    """The story with other texts in one kept row."""
    for place, entry in enumerate(story.written):
        if isinstance(entry.event, InstructionKept) and entry.id == id:
            event = msgspec.structs.replace(entry.event, **fields)
            story.written[place] = Written(entry.topic, entry.partition, event, entry.id, entry.key)
    return story


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def order(folder: Path) -> list[str]:
    return [line["id"] for line in lines(folder / "lineage.jsonl")]


def test_rows_stand_in_the_order_in_which_they_were_decided_in_every_file(tmp_path: Path) -> None:
    folder = exported(short_story(), tmp_path / "data")

    expected = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 2)]
    assert order(folder) == [row_id(*at) for at in expected]
    texts = [f"Task {place} of {number}" for number, place in expected]
    assert [row["instruction"] for row in json.loads((folder / "alpaca.json").read_bytes())] == texts
    assert [row["id"] for row in json.loads((folder / "sharegpt.json").read_bytes())] == order(folder)
    assert [line["messages"][0]["content"] for line in lines(folder / "openai.jsonl")] == texts
    assert [line["prompt"] for line in lines(folder / "trl.jsonl")] == [f"{text}\n\n" for text in texts]
    assert pl.read_parquet(folder / "rows.parquet")["id"].to_list() == order(folder)


def test_each_format_is_as_it_is_published(tmp_path: Path) -> None:
    id = row_id(0, 0)
    story = changed(short_story(), id, instruction="Übersetze:\n„a“", input="naïve \u2028", output="\t✓ ")
    folder = exported(story, tmp_path / "data")
    asked = "Übersetze:\n„a“\n\nnaïve \u2028"

    assert json.loads((folder / "alpaca.json").read_bytes())[0] == {
        "instruction": "Übersetze:\n„a“",
        "input": "naïve \u2028",
        "output": "\t✓ ",
    }
    assert json.loads((folder / "sharegpt.json").read_bytes())[0] == {
        "id": id,
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": "\t✓ "}],
    }
    assert lines(folder / "openai.jsonl")[0] == {
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": "\t✓ "}]
    }
    assert lines(folder / "trl.jsonl")[0] == {"prompt": f"{asked}\n\n", "completion": "\t✓ "}
    assert "Übersetze".encode() in (folder / "alpaca.json").read_bytes()
    assert all(raw.endswith(b"\n") for name, raw in contents(folder).items() if not name.endswith(".parquet"))


def test_polars_reads_the_files_as_tables(tmp_path: Path) -> None:
    folder = exported(short_story(), tmp_path / "data")

    assert pl.read_json(folder / "alpaca.json").columns == ["instruction", "input", "output"]
    assert pl.read_ndjson(folder / "trl.jsonl").columns == ["prompt", "completion"]
    assert pl.read_ndjson(folder / "openai.jsonl").height == 5
    table = pl.read_parquet(folder / "rows.parquet")
    assert table.row(3, named=True) == {
        "instruction": "Task 0 of 2",
        "input": "",
        "output": "done",
        **lines(folder / "lineage.jsonl")[3],
    }


def test_every_row_says_where_it_comes_from(tmp_path: Path) -> None:
    folder = exported(short_story(), tmp_path / "data", ExportOptions())

    generation = ids.generation_id("main", 2)
    assert lines(folder / "lineage.jsonl")[4] == {
        "id": row_id(2, 2),
        "generation_id": generation,
        "generated_offset": 2,
        "place": 2,
        "cluster": 0,
        "classifier_offset": 0,
        "lane": "main",
        "number": 2,
        "model": "m",
        "backend": "recorded",
        "style": "alpaca",
        "seed_ids": ["seed-3"],
        "request_ids": [ids.request_id(generation, 0)],
        "cost_usd": 0.5,
    }


def test_an_export_of_the_same_offsets_is_the_same_bytes_whatever_happened_since(tmp_path: Path) -> None:
    before = exported(short_story(), tmp_path / "before")
    later = short_story()
    rows_again = [entry for entry in later.written if entry.topic in ("kept", "rejected")][:4]
    for entry in rows_again:
        later.again(entry)
    later.generate(3)
    later.decide(3, 3, {0: 0, 1: 1}, {2: "similar"})

    after = exported(later, tmp_path / "after", ExportOptions(formats=FORMATS, through=2))
    whole = exported(later, tmp_path / "whole")

    assert contents(after) == contents(before)
    assert contents(whole) != contents(before)
    assert len(order(whole)) == len(order(before)) + 2


def test_a_crash_that_wrote_half_of_a_decision_twice_changes_no_row(tmp_path: Path) -> None:
    story = short_story()
    kept = [place for place, entry in enumerate(story.written) if entry.topic == "kept"]
    story.written.insert(kept[-1], story.written[kept[-2]])  # a row, then all rows of its generation again

    assert order(exported(story, tmp_path / "data")) == order(exported(short_story(), tmp_path / "other"))


def test_rows_that_the_filter_is_not_done_with_are_not_there(tmp_path: Path) -> None:
    story = short_story()
    story.generate(3)
    story.keep(3, 3, 0, 1)

    assert order(exported(story, tmp_path / "data")) == order(exported(short_story(), tmp_path / "other"))
    with pytest.raises(RunError, match=r"Offset 3 of generated is not decided .* the last decided up to there is 2"):
        exported(story, tmp_path / "more", ExportOptions(through=3))
    assert not (tmp_path / "more").exists()


def test_records_that_give_nothing_to_decide_are_passed_over(tmp_path: Path) -> None:
    story = short_story()
    story.again(next(entry for entry in story.written if isinstance(entry.event, InstructionsGenerated)))
    story.reject(0, 3, {}, generated=0)
    story.generate(4)
    story.decide(4, 4, {1: 1}, {0: "similar", 2: "similar"})

    folder = exported(story, tmp_path / "data")

    assert order(folder)[-1] == row_id(4, 1)
    assert "| generations | 4 |" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda e: e.topic == "kept" and e.id == row_id(2, 0), "the filter kept 2 of it, the log holds 1 rows"),
        (lambda e: e.topic == "rejected" and e.key == ids.generation_id("main", 1), "the filter's next verdict is on"),
        (lambda e: e.topic == "generated" and e.id == ids.generation_id("main", 2), "generated has no such record"),
    ],
    ids=["row", "verdict", "generation"],
)
def test_a_log_that_lacks_something_is_an_error_and_not_a_shorter_data_set(
    tmp_path: Path, spoil: Callable[[Written], bool], what: str
) -> None:
    story = short_story()
    story.written = [entry for entry in story.written if not spoil(entry)]

    with pytest.raises(RunError, match=what):
        exported(story, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_ids_in_the_list_are_left_out_and_the_manifest_says_so(tmp_path: Path) -> None:
    withdrawn = tmp_path / "ids.txt"
    withdrawn.write_text(f"{row_id(0, 1)}\n\n {row_id(2, 2)} \n", encoding="utf-8")

    folder = exported(short_story(), tmp_path / "data", ExportOptions(formats=("openai",), exclude=withdrawn))

    assert order(folder) == [row_id(0, 0), row_id(0, 2), row_id(2, 0)]
    assert len(lines(folder / "openai.jsonl")) == 3
    excluded = read_manifest(folder).excluded
    assert excluded is not None
    assert (excluded.ids, excluded.rows) == (2, 2)
    narrow = exported(short_story(), tmp_path / "narrow", ExportOptions(exclude=withdrawn, clusters=(1,)))
    assert (read_manifest(narrow).excluded, order(narrow)) == (
        msgspec.structs.replace(excluded, rows=0),
        [row_id(0, 0), row_id(0, 2)],
    )


def test_an_id_that_no_row_has_is_an_error_that_names_it(tmp_path: Path) -> None:
    withdrawn = tmp_path / "ids.txt"
    withdrawn.write_text(f"{row_id(0, 1)}\n{row_id(1, 0)}\nnobody\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=f"up to offset 2 of generated has: {row_id(1, 0)}, nobody. "):
        exported(short_story(), tmp_path / "data", ExportOptions(exclude=withdrawn))
    assert [path.name for path in tmp_path.iterdir()] == ["ids.txt"]


def test_only_the_clusters_that_were_asked_for_are_there(tmp_path: Path) -> None:
    folder = exported(short_story(), tmp_path / "data", ExportOptions(formats=FORMATS, clusters=(1,)))

    assert order(folder) == [row_id(0, 0), row_id(0, 2)]
    assert pl.read_parquet(folder / "rows.parquet")["cluster"].to_list() == [1, 1]
    with pytest.raises(ConfigurationError, match="There is no --cluster 2: the run's clusters are 0 to 1"):
        exported(short_story(), tmp_path / "none", ExportOptions(clusters=(2,)))


def test_a_run_with_nothing_decided_gives_empty_files_that_still_load(tmp_path: Path) -> None:
    story = Story()
    story.configure()
    story.generate(0)

    folder = exported(story, tmp_path / "data")

    assert json.loads((folder / "alpaca.json").read_bytes()) == []
    assert (folder / "openai.jsonl").read_bytes() == b""
    assert pl.read_parquet(folder / "rows.parquet").height == 0
    assert read_manifest(folder).through == -1


def test_a_run_that_was_never_configured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no RunConfigured"):
        exported(Story(), tmp_path / "data")


def test_a_folder_that_is_there_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        exported(short_story(), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_the_manifest_covers_what_was_used_and_finds_every_change(tmp_path: Path) -> None:
    folder = exported(short_story(), tmp_path / "data", ExportOptions(formats=("parquet", "alpaca")))

    manifest, found = differences(folder)
    assert found == ()
    assert {(part.topic, part.partition): part.end for part in manifest.offsets} == {
        ("generated", 0): 3,
        ("kept", 0): 3,
        ("kept", 1): 2,
        ("rejected", 0): 3,
        ("run", 0): 1,
    }
    assert [(file.name, file.rows) for file in manifest.files] == [
        ("alpaca.json", 5),
        ("rows.parquet", 5),
        ("lineage.jsonl", 5),
        ("README.md", None),
    ]
    raw = (folder / "alpaca.json").read_bytes()
    (folder / "alpaca.json").write_bytes(raw.replace(b"done", b"gone"))
    (folder / "lineage.jsonl").unlink()
    (folder / "README.md").write_bytes(b"")
    assert [difference.name for difference in differences(folder)[1]] == ["alpaca.json", "lineage.jsonl", "README.md"]


def test_the_card_is_one_that_a_hub_reads(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    folder = exported(
        short_story(), tmp_path / "data", ExportOptions(formats=("alpaca", "parquet"), license="cc-by-4.0")
    )

    card = DatasetCard.load(folder / "README.md")
    assert card.data.to_dict()["size_categories"] == ["n<1K"]
    assert card.data.license == "cc-by-4.0"
    assert [(config["config_name"], config["data_files"]) for config in card.data.to_dict()["configs"]] == [
        ("alpaca", [{"split": "train", "path": "alpaca.json"}]),
        ("rows", [{"split": "train", "path": "rows.parquet"}]),
        ("lineage", [{"split": "train", "path": "lineage.jsonl"}]),
    ]
    for line in ("| models | m (3 generations) |", "| yield | 62.50% |", "| similar | 2 |", "| 1 | 2 | 2 |"):
        assert line in card.text


def test_more_rows_than_a_row_group_make_the_same_parquet_file_each_time(tmp_path: Path) -> None:
    story = Story()
    story.configure()
    count = ROWS_A_GROUP + 5
    story.generate(0, count=count)
    story.decide(0, 0, {place: place % 2 for place in range(count)}, {})
    records: list[Record] = list(story.records())

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        export(MemorySource(story.run, records), folder, ALL)

    assert contents(folders[0]) == contents(folders[1])
    assert pl.read_parquet(folders[0] / "rows.parquet")["place"].to_list() == list(range(count))
    assert len(json.loads((folders[0] / "alpaca.json").read_bytes())) == count


def test_a_parquet_file_that_cannot_be_written_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.export.run.PARQUET", "no-such-folder/rows.parquet")

    with pytest.raises(ConfigurationError, match=r"rows\.parquet cannot be written"):
        exported(short_story(), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing_behind_and_no_thread(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(source(short_story()), tmp_path / "data", ALL, interrupt)
    assert list(tmp_path.iterdir()) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("parquet")]


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**12, "n>1T")],
)
def test_the_size_is_said_in_the_hubs_words(rows: int, category: str) -> None:
    from consumers.export.card import size_category

    assert size_category(rows) == category


def test_a_text_with_line_separators_is_one_line_for_every_reader_and_the_same_text(tmp_path: Path) -> None:
    hostile = "one\u2028two\u2029three\x85four"
    folder = exported(changed(short_story(), row_id(0, 0), output=hostile), tmp_path / "data")

    for name in ("alpaca.json", "sharegpt.json", "openai.jsonl", "trl.jsonl", "rows.parquet"):
        tasks = read_tasks(folder / name)
        assert (len(tasks), tasks[0].task.output) == (5, hostile), name
    for name in ("openai.jsonl", "trl.jsonl"):
        assert len((folder / name).read_text(encoding="utf-8").splitlines()) == 5
