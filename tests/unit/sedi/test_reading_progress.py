"""Bars of long work, as a terminal shows them: how far, the rate and the time left; nothing in a pipe."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from infra.log.archive import ArchiveSource
from infra.log.source import TOPICS
from infra.log.watched import watched
from sedi import reading_progress
from sedi.reading_progress import counting_progress, log_progress, staged_progress
from tests.golden import HERE


class Terminal(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(reading_progress.time, "monotonic", lambda: now[0])
    yield now


def written(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, width: int = 100) -> Terminal:
    error = Terminal(terminal)
    monkeypatch.setattr("sys.stderr", error)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    return error


def shown_after(open_bar: Callable[[], AbstractContextManager[Any]], error: Terminal, clock: list[float]) -> str:
    with open_bar() as update:
        for done in range(0, 60, 10):
            update(done, 200)
            clock[0] += 2.0
        update(60, 200)
    return error.getvalue()


def test_a_bar_has_how_far_the_rate_and_the_time_left(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    error = written(monkeypatch, terminal=True)
    text = shown_after(lambda: counting_progress("judging", "rows"), error, clock)
    assert "judging" in text and "60 of 200 rows" in text
    assert "5.0/s" in text and "28 s left" in text


@pytest.mark.parametrize("width", [60, 200])
def test_a_bar_is_one_line_and_its_title_gives_way(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], width: int
) -> None:
    error = written(monkeypatch, terminal=True, width=width)
    title = "Reading run 'a-name' on a-cluster.example:9092"
    with counting_progress(title, "records") as update:
        update(0, 1_000_000)
        clock[0] += 100
        update(123_456, 1_000_000)
    shown = [line for line in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", error.getvalue()) if line.strip()]
    assert max(map(cell_len, shown)) <= width and "12 min left" in shown[-1]
    assert all((title if width == 200 else "Reading") in line and "of 1,000,000" in line for line in shown)


def test_the_rate_does_not_count_what_was_done_before(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    error = written(monkeypatch, terminal=True)
    with counting_progress("judging", "rows") as update:
        update(100, 200)
        clock[0] += 10
        update(110, 200)
    assert "1.0/s" in error.getvalue() and "90 s left" in error.getvalue()


def test_a_new_stage_begins_a_new_bar(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    error = written(monkeypatch, terminal=True)
    with staged_progress("records") as update:
        update("checking", 1, 2)
        clock[0] += 1
        update("checking", 2, 2)
        clock[0] += 100
        update("writing", 0, 50)
        clock[0] += 10
        update("writing", 20, 50)
    assert "2.0/s" in error.getvalue() and "15 s left" in error.getvalue()


@pytest.mark.parametrize("lines", [True, False])
def test_a_pipe_gets_no_bar_and_a_line_of_each_stage_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, lines: bool
) -> None:
    error = written(monkeypatch, terminal=False)
    with staged_progress("generations", lines=lines) as update:
        update("one", 1, 3)
        update("one", 2, 3)
        update("two", 1, 1_500)
    assert error.getvalue() == ("one: 3 generations\ntwo: 1,500 generations\n" if lines else "")
    with counting_progress("judging", "rows") as count, log_progress("Reading"):
        count(1, 2)
    assert error.getvalue().count("judging") == 0


def test_readings_of_a_log_report_all_their_records_whoever_opens_them() -> None:
    seen: list[tuple[int, int]] = []
    archive = ArchiveSource(HERE / "undisturbed")
    with watched(lambda done, total: seen.append((done, total))), archive.open(TOPICS) as log:
        records = len(list(log.rest()))
    assert seen[0] == (0, records) and seen[-1] == (records, records)
    with archive.open(TOPICS) as log:
        list(log.rest())
    assert seen[-1] == (records, records)


def test_a_quick_reading_shows_nothing_and_a_slow_one_its_bar(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], tmp_path: Path
) -> None:
    error = written(monkeypatch, terminal=True)

    def read(seconds: float) -> str:
        with log_progress("Reading run demo"), ArchiveSource(HERE / "undisturbed").open(TOPICS) as log:
            for _ in log.rest():
                clock[0] += seconds
        return error.getvalue()

    assert read(0.0) == ""
    assert "Reading run demo" in read(0.01) and "records" in error.getvalue()
