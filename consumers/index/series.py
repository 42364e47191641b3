"""Looks up what an index has along time: calls, steps, seed scores, the run's yield; thinned out for a plot.

A series with more points than are asked for is cut into equal parts of its axis, and the last point stands for each.
Finding these takes a look into an index for each, so it takes as long for a million rows as for a thousand. Steps, of
which there are few, are cut into equal parts of their number: each epoch counts from 1.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

POINTS = 800

Columns = dict[str, list[Any]]
"""A series, column by column."""


def _thinned(
    connection: sqlite3.Connection,
    columns: str,
    table: str,
    axis: str,
    where: str = "TRUE",
    values: tuple[Any, ...] = (),
) -> Columns:
    """The rows of a table along an axis, an indexed column of whole numbers."""
    few = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {axis} LIMIT ?"
    found = connection.execute(few, (*values, POINTS + 1)).fetchall()
    if len(found) > POINTS:
        ends = f"SELECT {{}}({axis}) FROM {table} WHERE {where}"  # in one query SQLite would read all
        (first,), (last,) = (connection.execute(ends.format(end), values).fetchone() for end in ("min", "max"))
        upto = f"SELECT {columns} FROM {table} WHERE {where} AND {axis} <= ? ORDER BY {axis} DESC LIMIT 1"
        cuts = (first + (last - first) * part // (POINTS - 1) for part in range(POINTS))
        found = list(dict.fromkeys(tuple(connection.execute(upto, (*values, cut)).fetchone()) for cut in cuts))
    return _columns(columns, found)


def _columns(names: str, found: Sequence[Sequence[Any]]) -> Columns:
    return {name.strip(): [row[place] for row in found] for place, name in enumerate(names.split(","))}


def yield_curve(connection: sqlite3.Connection) -> Columns:
    """What was generated and kept up to each verdict, with its time."""
    return _thinned(connection, "at, ms, generated_total, kept_total", "decided", "at")


def steps(connection: sqlite3.Connection) -> Columns:
    """The optimizer steps: loss, norm of the gradient, learning rate, and seconds."""
    ((count,),) = connection.execute("SELECT count(*) FROM step")
    columns, every = "epoch, step, window, loss, grad_norm, learning_rate, seconds", max(1, -(-count // POINTS))
    query = f"SELECT {columns}, row_number() OVER (ORDER BY epoch, step) AS nth FROM step"
    found = connection.execute(
        f"SELECT {columns} FROM ({query}) WHERE nth % ? = 0 OR nth = ? ORDER BY nth", (every, count)
    ).fetchall()
    return _columns(columns, found)


def windows(connection: sqlite3.Connection, limit: int = 500) -> list[dict[str, Any]]:
    """The answers to the last windows, newest first."""
    query = "SELECT * FROM answer_to_window ORDER BY epoch DESC, window DESC LIMIT ?"
    return [dict(row) for row in connection.execute(query, (limit,))]


def seed_points(connection: sqlite3.Connection, seed: str) -> Columns:
    """A seed's counts after each of its decided generations."""
    return _thinned(connection, "at, generated, kept", "seed_point", "at", "seed = ?", (seed,))


def calls_over_time(connection: sqlite3.Connection) -> Columns:
    """Latency, tokens and cost of the calls that ended, in the order they did."""
    columns = "ended_ms, latency_s, completion_tokens, cost, status"
    return _thinned(connection, columns, "call", "ended_ms", "ended_ms IS NOT NULL")


def recent_calls(connection: sqlite3.Connection, limit: int = 200) -> list[dict[str, Any]]:
    """The calls that were started last, newest first."""
    query = "SELECT * FROM call ORDER BY started_ms DESC LIMIT ?"
    return [dict(row) for row in connection.execute(query, (limit,))]


def call_failures(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Failed attempts by status, most first; a status of None is a failure before a response."""
    query = (
        "SELECT status, count(*) AS calls, max(error) AS example, max(ended_ms) AS last_ms FROM call "
        "WHERE outcome = 'failed' GROUP BY status ORDER BY calls DESC"
    )
    return [dict(row) for row in connection.execute(query)]


def latencies(connection: sqlite3.Connection) -> dict[str, float | None]:
    """Of the answered calls: the median and the 95th percentile of their latency, in seconds."""
    ((count,),) = connection.execute("SELECT count(*) FROM call WHERE latency_s IS NOT NULL")
    found: dict[str, float | None] = {}
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        query = "SELECT latency_s FROM call WHERE latency_s IS NOT NULL ORDER BY latency_s LIMIT 1 OFFSET ?"
        row = connection.execute(query, (min(count - 1, int(share * count)),)).fetchone() if count else None
        found[name] = None if row is None else row[0]
    return found
