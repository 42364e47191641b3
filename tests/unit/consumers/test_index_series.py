"""Series of an index: all rows of a short one, points along its axis of a long one, found without reading it all."""

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from consumers.index import series, tables

ENDED = 5_000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = tables.create(tmp_path / "i.sqlite")
    connection.executemany(
        "INSERT INTO decided VALUES (?, ?, ?, ?)", ((at, at * 10, at * 5, at * 4) for at in range(9))
    )
    connection.executemany(
        "INSERT INTO call (request, attempt, ended_ms, outcome, status, latency_s) VALUES (?, 1, ?, ?, ?, ?)",
        (
            (f"r{at}", at * 7, "failed" if at % 100 == 0 else "answered", 500 if at % 200 == 0 else None, at / 10)
            for at in range(ENDED)
        ),
    )
    connection.execute("INSERT INTO call (request, attempt, started_ms) VALUES ('open', 1, 3)")
    connection.executemany(
        "INSERT INTO step VALUES (?, ?, 0, ?, 1, 1, 1, 1, 1)",
        ((epoch, at, at) for epoch in (1, 2) for at in range(900)),
    )
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def test_a_short_series_is_whole_and_a_long_one_thinned_with_its_ends(index: sqlite3.Connection) -> None:
    assert series.yield_curve(index)["kept_total"] == [at * 4 for at in range(9)]
    ended = series.calls_over_time(index)["ended_ms"]
    assert series.POINTS * 0.9 < len(ended) <= series.POINTS
    assert (ended[0], ended[-1]) == (0, (ENDED - 1) * 7)
    assert ended == sorted(set(ended))
    assert max(after - before for before, after in pairwise(ended)) <= 7 * 2 * ENDED / series.POINTS
    steps = series.steps(index)
    assert len(steps["epoch"]) <= series.POINTS + 1
    assert {1, 2} == set(steps["epoch"])
    assert series.seed_points(index, "nobody") == {"at": [], "generated": [], "kept": []}


def test_latencies_and_failures_are_those_of_all_calls(index: sqlite3.Connection) -> None:
    assert series.latencies(index) == {"p50": 250.0, "p95": 475.0}
    assert [(one["status"], one["calls"]) for one in series.call_failures(index)] == [(None, 25), (500, 25)]


def test_no_question_about_calls_reads_or_sorts_all_of_them(index: sqlite3.Connection) -> None:
    asked: list[str] = []
    index.set_trace_callback(asked.append)
    series.calls_over_time(index)
    series.yield_curve(index)
    series.latencies(index)
    series.call_failures(index)
    index.set_trace_callback(None)
    plans = {
        line[3]
        for query in set(asked)
        if query.startswith("SELECT")
        for line in index.execute(f"EXPLAIN QUERY PLAN {query}")
    }
    assert plans
    # The failures' statuses are few, so these may be sorted.
    assert "SCAN call" not in plans
    assert [plan for plan in plans if "ORDER BY" in plan] in ([], ["USE TEMP B-TREE FOR ORDER BY"])
