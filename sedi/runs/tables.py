"""The tables of `sedi runs`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from infra.settings import Settings
from sedi.output import clock, console, table
from sedi.runs.found import ListedRun, RunDetails, members, users

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_SPANS = (("d", 86_400), ("h", 3_600), ("min", 60))


def show_list(found: Sequence[ListedRun], settings: Settings) -> None:
    rows = [
        (
            each.run,
            each.records,
            size(each.bytes),
            clock(each.first_ms),
            clock(each.last_ms),
            age(each.last_ms),
            ", ".join(f"{name} ({where})" for name, where in users(each.groups, each.processes).items()) or None,
            f"{len(each.missing)} topics are missing" if each.missing else None,
        )
        for each in found
    ]
    columns = ("run", "#records", "#size", "first record", "last record", "#age", "at work", "note")
    out = console()
    out.print(table(f"{len(found)} runs on {settings.bootstrap_servers}", columns, rows))
    if found:
        sizes = [each.bytes for each in found]
        known = None if None in sizes else sum(filter(None, sizes))
        out.print(f"Together {size(known)} on the brokers, replicas included.")


def show_run(found: RunDetails) -> None:
    out = console()
    extent = found.extent
    if extent is not None:
        rows = [
            (each.name, each.partitions, each.records, size(each.bytes), clock(each.first_ms), clock(each.last_ms))
            for each in extent.topics
        ]
        title = f"Run {found.run}: {extent.records:,} records, {size(extent.bytes)} on the brokers"
        out.print(table(title, ("topic", "#partitions", "#records", "#size", "first record", "last record"), rows))
    lines = [("age", age(extent.last_ms))] if extent is not None else []
    if extent is not None and extent.missing:
        lines.append(("missing topics", ", ".join(extent.missing)))
    if extent is not None and extent.unknown:
        lines.append(("topics of others", ", ".join(extent.unknown)))
    lines += [
        (
            f"{'own' if group.own else 'another'} group",
            f"{group.name}: {members(group) if group.live else 'nobody is at work'}",
        )
        for group in found.groups
    ]
    lines += [("process here", f"sedi {process.command} (pid {process.pid})") for process in found.processes]
    lines += [("its models are evaluated in", f"run {run}") for run in found.evaluated_in]
    lines += [("being written to", sign) for sign in found.at_work]
    lines.append(("on this machine", local_line(found)))
    out.print(table("Who uses it", ("", ""), lines))


def local_line(found: RunDetails) -> str:
    """What this machine keeps of a run, on one line."""
    local = found.local
    if not local.kept:
        return f"nothing in {local.folder}"
    entries = ", ".join(f"{entry.name} {size(entry.bytes)}" for entry in local.entries)
    lines = [f"{size(sum(entry.bytes for entry in local.entries))} in {local.folder}: {entries}"] if entries else []
    lines += [f"of its page, {entry.name} {size(entry.bytes)}" for entry in local.indexes]
    return "; ".join(lines)


def size(count: int | None) -> str:
    """Bytes for people; of an unknown number a question mark."""
    if count is None:
        return "?"
    for unit, factor in _UNITS:
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def age(last_ms: int | None) -> str:
    """How long ago a time is; a question mark for none."""
    if last_ms is None:
        return "?"
    seconds = max(0.0, time.time() - last_ms / 1000)
    for unit, factor in _SPANS:
        if seconds >= factor:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds:.0f} s"
