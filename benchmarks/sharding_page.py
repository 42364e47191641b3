"""The simulation of `benchmarks.sharding` as tables: for people, and in docs/one-filter.md between its two marks."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, machine_line
from benchmarks.sharding import Sharded, Sharding
from schemas.errors import ConfigurationError

BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"
COLUMNS = (
    "shards",
    "different decisions",
    "shards asked",
    "copies of a row",
    "busiest shard's share",
    "µs, sequencer",
    "µs, busiest shard",
    "µs, all shards",
)


def show(console: Console, found: Sharding) -> None:
    console.print(machine_line())
    table = Table(title=_title(found))
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for each in found.sharded:
        table.add_row(*_cells(each))
    console.print(table)


def write_json(path: Path, found: Sharding) -> None:
    path.write_text(json.dumps({"machine": machine(), **asdict(found)}, indent=2) + "\n", encoding="utf-8")


def page_text(found: Sharding) -> str:
    """The table as the page has it."""
    lines = [COLUMNS, ("---:",) * len(COLUMNS), *map(_cells, found.sharded)]
    return "\n".join([f"{_title(found)}.", "", *(f"| {' | '.join(line)} |" for line in lines)])


def write_page(page: Path, found: Sharding) -> None:
    """Put the table between the marks of a page. Raises ConfigurationError when it has none."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigurationError(f"{page} has no lines {BEGIN!r} and {END!r}. Name docs/one-filter.md, or add them.")
    page.write_text(f"{before}{begin}\n\n{page_text(found)}\n\n{end}{after}", encoding="utf-8")


def _title(found: Sharding) -> str:
    return (
        f"{found.texts:,} texts, {found.kept:,} kept at θ = {found.threshold:g}, blocks of {found.block}; one index "
        f"takes {found.single_us:.0f} µs a text"
    )


def _cells(each: Sharded) -> tuple[str, ...]:
    return (
        str(each.shards),
        str(each.different),
        f"{each.asked:.2f}",
        f"{each.copies:.2f}",
        f"{each.busiest:.1%}",
        *(f"{us:.0f}" for us in (each.sequencer_us, each.busiest_us, each.shards_us)),
    )
