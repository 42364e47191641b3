"""The tables of `benchmarks.filter`."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.filter import Filters, Size
from benchmarks.machine import machine, machine_line

_NAMES = {"worker": "our worker", "quix": "Quix Streams, our decider", "bare": "reads and writes, decides nothing"}
_LEAST_SHARE = 0.005


def show(console: Console, found: Filters) -> None:
    """Everything that was measured, as text."""
    console.print(machine_line())
    console.print(_speeds(found))
    console.print(_parts(found))
    console.print(_waits(found))
    if found.readers:
        table = Table(title=f"The log of {found.instructions:,} instructions, read again")
        for column in ("command", "s", "s of processor time", "instructions/s", "instructions/s a core"):
            table.add_column(column, justify="left" if column == "command" else "right")
        for read in found.readers:
            speeds = (f"{read.per_second:,.0f}", f"{read.per_core_second:,.0f}")
            table.add_row(read.command, f"{read.seconds:.1f}", f"{read.cpu_s:.1f}", *speeds)
        console.print(table)


def _speeds(found: Filters) -> Table:
    table = Table(title=f"{found.instructions:,} instructions in {found.generations:,} generations wait")
    for column in (
        "kept before",
        "kept after",
        "filter",
        "instructions/s",
        "ours to it",
        "s",
        "CPU s",
        "MB",
        "peak MB",
    ):
        table.add_column(column, justify="left" if column == "filter" else "right")
    for size in found.sizes:
        for side in size.sides:
            first = side.side == "worker"
            table.add_row(
                f"{size.kept:,}" if first else "",
                f"{size.kept_after:,}" if first else "",
                _NAMES[side.side],
                f"{side.per_second:,.0f}",
                "" if first else f"{size.ratio(side.side):.2f}",
                f"{side.seconds:.2f}",
                f"{side.cpu_s:.2f}",
                f"{side.mb:,.0f}",
                f"{side.peak_mb:,.0f}",
                end_section=side is size.sides[-1],
            )
    return table


def _parts(found: Filters) -> Table:
    shares = {size.kept: size.sides[0].parts for size in found.sizes}
    names = sorted({name for parts in shares.values() for name in parts}, key=lambda n: -sum(_of(shares, n)))
    table = Table("part", title="Share of our worker's processor time")
    for kept in shares:
        table.add_column(f"{kept:,} kept", justify="right")
    for name in names:
        if max(_of(shares, name)) >= _LEAST_SHARE:
            table.add_row(name, *(f"{share:.1%}" for share in _of(shares, name)))
    return table


def _of(shares: dict[int, dict[str, float]], name: str) -> list[float]:
    return [parts.get(name, 0.0) for parts in shares.values()]


def _waits(found: Filters) -> Table:
    table = Table(title="Our worker: starting, taking over, and the time from a generation's write to its kept rows")
    for column in ("kept", "start s", "recovery s", "with standby s", "generations/s", "p50 ms", "p99 ms", "most ms"):
        table.add_column(column, justify="right")
    for size in found.sizes:
        table.add_row(f"{size.kept:,}", f"{size.sides[0].start_s:.1f}", *_recovery(size), *_latency(size))
    return table


def _recovery(size: Size) -> list[str]:
    return [f"{size.recovery_s[way]:.1f}" if way in size.recovery_s else "-" for way in ("without", "with")]


def _latency(size: Size) -> list[str]:
    waited = size.latency
    if waited is None:
        return ["-"] * 4
    return [f"{waited.a_second:g}", f"{waited.p50_ms:.1f}", f"{waited.p99_ms:.1f}", f"{waited.most_ms:.1f}"]


def document(found: Filters) -> dict[str, object]:
    """All results with the machine, as JSON can hold them."""
    speeds = [
        {
            "kept": size.kept,
            "instructions_a_second": {side.side: side.per_second for side in size.sides},
            "ratios": {side.side: size.ratio(side.side) for side in size.sides[1:]},
        }
        for size in found.sizes
    ]
    return {"machine": machine(), "speeds": speeds, **asdict(found)}


def write_json(path: Path, found: Filters) -> None:
    path.write_text(json.dumps(document(found), indent=2) + "\n", encoding="utf-8")
