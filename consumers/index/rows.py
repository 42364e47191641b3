"""Looks up generated instructions in an index: filtered, counted by facet, searched, and page by page.

A page goes on from the place of the last row of the one before, so rows that are added meanwhile move nothing. Newest
first, in the run's total order.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumers.index.tables import NONE, has_text_index

PAGE = 100
_SHORTEST = 3  # characters that the text index can look up

FACETS = ("outcome", "reason", "cluster", "model", "producer")


class RowFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. None: any. `search`: what the instruction contains, in any case. `seed`: that was shown for it."""

    outcome: str | None = None
    reason: str | None = None
    cluster: int | None = None
    model: str | None = None
    producer: str | None = None
    seed: str | None = None
    search: str | None = None


class IndexedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A generated instruction in a line. `at` is its generation's offset on `generated`."""

    id: str
    at: int
    place: int
    instruction: str
    outcome: str
    reason: str | None
    similarity: float | None
    cluster: int | None
    model: str | None
    producer: str | None
    unused: str | None


class RowPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, and the place (offset, place) to go on before; None at the end."""

    rows: tuple[IndexedRow, ...]
    before: tuple[int, int] | None


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value and the rows that have it, with the other filters in force."""

    value: str | int
    rows: int


def page(
    connection: sqlite3.Connection, wanted: RowFilter, before: tuple[int, int] | None = None, limit: int = PAGE
) -> RowPage:
    """Rows before a place; None: the newest."""
    where, values = _where(connection, wanted)
    if before is not None:
        where.append("(at, place) < (?, ?)")
        values += before
    columns = ", ".join(IndexedRow.__struct_fields__)
    found = connection.execute(
        f"SELECT {columns} FROM row{_clause(where)} ORDER BY at DESC, place DESC LIMIT ?", [*values, limit + 1]
    ).fetchall()
    rows = tuple(IndexedRow(**row) for row in found[:limit])
    return RowPage(rows=rows, before=(rows[-1].at, rows[-1].place) if len(found) > limit else None)


def facets(connection: sqlite3.Connection, wanted: RowFilter) -> dict[str, tuple[FacetValue, ...]]:
    """Of each facet the values and their rows, where its own filter is not applied and the others are; most rows first.

    Without a search or a seed all comes from `counted`, in a time that does not grow with the rows.
    """
    groups = _grouped(connection, RowFilter(seed=wanted.seed, search=wanted.search))
    found = {}
    for name in FACETS:
        others = [(place, getattr(wanted, other)) for place, other in enumerate(FACETS) if other != name]
        counts: Counter[str | int] = Counter()
        for *values, rows in groups:
            value = values[FACETS.index(name)]
            if value is not None and all(asked is None or values[place] == asked for place, asked in others):
                counts[value] += rows
        found[name] = tuple(FacetValue(value=value, rows=rows) for value, rows in counts.most_common())
    return found


def _grouped(connection: sqlite3.Connection, wanted: RowFilter) -> list[tuple[Any, ...]]:
    """The values of all facets at once, with the number of rows that have them."""
    if wanted.seed is None and not wanted.search:
        shown = [name if name not in NONE else f"nullif({name}, {NONE[name]!r})" for name in FACETS]
        return [tuple(line) for line in connection.execute(f"SELECT {', '.join(shown)}, rows FROM counted")]
    where, values = _where(connection, wanted)
    columns = ", ".join(FACETS)
    query = f"SELECT {columns}, count(*) FROM row{_clause(where)} GROUP BY {columns}"
    return [tuple(line) for line in connection.execute(query, values)]


def row(connection: sqlite3.Connection, id: str) -> dict[str, Any] | None:
    """All that the index has of an instruction: its texts, verdict, seeds, generation, judgements. None: no such."""
    found = connection.execute("SELECT * FROM row WHERE id = ?", (id,)).fetchone()
    if found is None:
        return None
    seeds = connection.execute("SELECT seed FROM shown WHERE at = ? ORDER BY seed", (found["at"],)).fetchall()
    generation = connection.execute("SELECT * FROM generation WHERE at = ?", (found["at"],)).fetchone()
    judged = connection.execute("SELECT * FROM judged WHERE row = ? ORDER BY judge", (id,)).fetchall()
    return {
        **_without(found, "number"),
        "seeds": [seed["seed"] for seed in seeds],
        "generated": None if generation is None else dict(generation),
        "judged": [dict(one) for one in judged],
    }


def text_of(connection: sqlite3.Connection, id: str) -> str | None:
    """The instruction with this id; None: no such one."""
    found = connection.execute("SELECT instruction FROM row WHERE id = ?", (id,)).fetchone()
    return None if found is None else str(found["instruction"])


def _where(connection: sqlite3.Connection, wanted: RowFilter) -> tuple[list[str], list[Any]]:
    where, values = [], []
    for name in FACETS:
        value = getattr(wanted, name)
        if value is not None:
            where.append(f"{name} = ?")
            values.append(value)
    if wanted.seed is not None:
        where.append("at IN (SELECT at FROM shown WHERE seed = ?)")
        values.append(wanted.seed)
    if wanted.search:
        text = wanted.search.replace("\0", "")
        if len(text) >= _SHORTEST and has_text_index(connection):
            where.append("number IN (SELECT rowid FROM row_text WHERE row_text MATCH ?)")
            values.append(f'"{text.replace(chr(34), chr(34) * 2)}"')
        else:
            where.append("instr(lower(instruction), lower(?)) > 0")
            values.append(text)
    return where, values


def _clause(where: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _without(found: sqlite3.Row, name: str) -> Mapping[str, Any]:
    return {key: found[key] for key in found.keys() if key != name}  # noqa: SIM118  a Row iterates over values
