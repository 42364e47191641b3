"""An index is a fold of the log: the same rows however often it was cut off, and the report's numbers."""

import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from consumers.index import log_lines, rows, tables
from consumers.index.run_index import RunIndex
from consumers.report import report, report_of
from infra.log.record import Record
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionsRejected
from tests.unit.consumers.recorded_run import POEM, RIVERS_AGAIN, ToldRun, row_id, source_of, whole_run


def shuffled(records: Iterable[Record], seed: int) -> list[Record]:
    """The records in another order of topics, each partition in its own."""
    left: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        left.setdefault(record.place, []).append(record)
    order, found = random.Random(seed), []
    while left:
        place = order.choice(sorted(left))
        found.append(left[place].pop(0))
        if not left[place]:
            del left[place]
    return found


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, but what numbers them."""
    with sqlite3.connect(file) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        named = sorted(name for name in names if not name.startswith(("row_text", "checkpoint", "sqlite_")))
        found = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in named}
    connection.close()
    found["row"] = sorted((line[1:] for line in found["row"]), key=repr)
    return found


def doubled_run() -> ToldRun:
    """The whole run, in which some records stand twice."""
    story = whole_run()
    for entry in story.written[5::7]:
        story.again(entry)
    return story


@pytest.mark.parametrize("seed", range(5))
def test_an_index_that_was_cut_off_anywhere_goes_on_to_the_same_rows(seed: int, tmp_path: Path) -> None:
    source = source_of(doubled_run())
    records = shuffled(source.records, seed)
    with RunIndex(source, tmp_path / "whole.sqlite", "log") as whole:
        whole.apply(records)
        expected = whole.look(report_of)
    cut = random.Random(seed).sample(range(1, len(records)), 2)
    first, second = min(cut), max(cut)

    index = RunIndex(source, tmp_path / "cut.sqlite", "log")
    index.apply(records[:first])
    index.checkpoint()
    index.apply(records[first:second])
    index._tables.close()  # killed here: what came after the checkpoint is in the tables and not in the fold
    index._holding.close()
    with RunIndex(source, tmp_path / "cut.sqlite", "log") as again:
        assert not again.built
        again.apply(records)

        assert again.look(report_of) == expected == report(source)
    assert contents(tmp_path / "cut.sqlite") == contents(tmp_path / "whole.sqlite")


def test_its_rows_are_those_that_the_report_counts(tmp_path: Path) -> None:
    source = source_of(doubled_run())
    expected = report(source)
    with RunIndex(source, tmp_path / "i.sqlite", "log") as index:
        index.apply(source.records)
        with tables.reading(index.file) as connection:
            facets = rows.facets(connection, rows.RowFilter())
            counted = {name: {one.value: one.rows for one in found} for name, found in facets.items()}
            everything = rows.page(connection, rows.RowFilter()).rows
            in_pages, before = [], None
            while not in_pages or before is not None:
                page = rows.page(connection, rows.RowFilter(), before, limit=2)
                in_pages += page.rows
                before = page.before
            similar = rows.page(connection, rows.RowFilter(reason="similar")).rows
            of_letter = rows.page(connection, rows.RowFilter(seed=row_id(1, 2))).rows
            assert [
                rows.page(connection, rows.RowFilter(search=text)).rows[0].instruction for text in ("HAIKU", "ku")
            ] == [POEM, POEM]
            assert rows.page(connection, rows.RowFilter(search='"* OR x\0')).rows == ()

    verdicts = {"kept": expected.kept, "rejected": expected.rejected_total, "undecided": expected.undecided}
    assert counted["outcome"] == verdicts
    assert counted["reason"] == expected.rejected
    assert counted["cluster"] == dict(enumerate(expected.clusters))
    assert counted["model"] == {"m-1": expected.generated - 1, "m-2": 1}
    assert tuple(in_pages) == everything
    assert len(everything) == expected.generated
    assert [row.instruction for row in similar] == [RIVERS_AGAIN]
    assert {row.at for row in of_letter} == {2}


def test_a_generation_that_the_filter_could_not_read_gives_its_rows_to_the_copy(tmp_path: Path) -> None:
    story = whole_run()
    place, entry = next(story.events(InstructionsRejected))
    generated = next(one for one in story.written if one.topic == "generated")
    unread = InstructionsRejected(
        generation_id="", generated_offset=0, rejections=(), generated=0, kept=0, generated_total=0, kept_total=0
    )
    story.written = [one for one in story.written[:place] if one.topic != "kept"]
    story.again(generated)
    story.tell(unread, id=ids.verdict_id(0), key="")
    source = source_of(story)
    with RunIndex(source, tmp_path / "i.sqlite", "log") as index:
        index.apply(source.records)
        with tables.reading(index.file) as connection:
            found = [(row.at, row.outcome) for row in rows.page(connection, rows.RowFilter()).rows]

    assert found == [(1, "undecided")] * 2
    assert report(source).generated == 2
    assert entry is not None


def test_another_log_another_program_or_a_spoilt_file_is_indexed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, file = source_of(whole_run()), tmp_path / "i.sqlite"

    def built(identity: str = "log") -> bool:
        with RunIndex(source, file, identity) as index:
            index.apply(source.records)
            assert index.look(report_of) == report(source)
            return index.built

    assert [built(), built(), built("another"), built("another")] == [True, False, True, False]
    monkeypatch.setattr("consumers.index.run_index.program_digest", lambda *_: "newer")
    assert [built("another"), built("another")] == [True, False]
    file.write_bytes(b"spoilt" * 1000)
    assert [built("another"), built("another")] == [True, False]
    with RunIndex(source, file, "another"), pytest.raises(ConfigurationError, match="used by another process"):
        RunIndex(source, file, "another")


def test_records_are_looked_up_once_each_whatever_the_pages(tmp_path: Path) -> None:
    source = source_of(doubled_run())
    topics = {"kept", "generated", "calls"}
    with RunIndex(source, tmp_path / "i.sqlite", "log") as index:
        index.apply(source.records)
        ends = {place: end for place, end in index.committed.items() if place[0] in topics}
        with tables.reading(index.file) as connection:
            forth, position = [], ""
            while found := log_lines.after(connection, ends, log_lines.parse_position(position), 3).lines:
                forth += found
                position = log_lines.after(connection, ends, log_lines.parse_position(position), 3).after
            back, position = [], log_lines.position_text(ends)
            while (page := log_lines.before(connection, ends, log_lines.parse_position(position), 4)).lines:
                back = [*page.lines, *back]
                position = page.first
    expected = sorted((r.topic, r.partition, r.offset) for r in source.records if r.topic in topics)
    assert sorted((line.topic, line.part, line.at) for line in forth) == expected
    assert [line for line in forth if line.topic == "kept"] == [line for line in back if line.topic == "kept"]
    assert len(back) == len(forth)
    assert sum(line.repeated for line in forth) == sum(report(source).duplicates.get(topic, 0) for topic in topics)
    with pytest.raises(ConfigurationError, match="no position"):
        log_lines.parse_position("kept/0:1;DROP")


def test_pages_backwards_have_each_record_once_though_times_run_back(tmp_path: Path) -> None:
    source = source_of(whole_run())
    with RunIndex(source, tmp_path / "i.sqlite", "log") as index:
        index.apply(source.records)
        ends = {place: end for place, end in index.committed.items() if place[0] in {"kept", "calls"}}
        index.checkpoint()
        with sqlite3.connect(index.file) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("UPDATE record SET ms = 1000000 - 1000 * at WHERE at % 3 > 0")
            back, page = [], log_lines.before(connection, ends, {}, 3)
            while page.lines:
                back = [*page.lines, *back]
                page = log_lines.before(connection, ends, log_lines.parse_position(page.first), 3)
            connection.rollback()
        connection.close()

    for topic, part in ends:
        told = sorted(r.offset for r in source.records if r.place == (topic, part))
        assert [line.at for line in back if (line.topic, line.part) == (topic, part)] == told
