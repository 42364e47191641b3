"""`sedi export`: a run's kept rows as data sets, and a check of an export's files."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from sedi.options import DEFAULT_RUN, AsJson, ExitCode, FromFiles, Run, Servers, StateDir, epilog, opened

if TYPE_CHECKING:
    from consumers.export.manifest import ExportManifest
    from consumers.export.run import Format

_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,62}")


def register(app: typer.Typer) -> None:
    app.command(
        "export",
        epilog=epilog(
            "sedi export ./demo-data --run demo --format alpaca --format parquet",
            "sedi export ./good --min-score 4.5",
            "sedi export ./clean --exclude withdrawn.txt --through 1999",
            "sedi export ./demo-data --verify",
        ),
    )(export)


def export(
    *,
    folder: Annotated[
        Path, typer.Argument(help="Where to write it; must not exist yet. With --verify: the export to check.")
    ],
    run: Run = DEFAULT_RUN,
    format: Annotated[
        list[str] | None,
        typer.Option("--format", help="alpaca (the default), sharegpt, openai, trl or parquet; may be repeated."),
    ] = None,
    through: Annotated[
        int | None,
        typer.Option("--through", min=0, help="The last offset of `generated` to cover. Default: the last decided."),
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option("--exclude", metavar="FILE", help="Leave out the instruction ids in it, one a line.")
    ] = None,
    cluster: Annotated[list[int] | None, typer.Option("--cluster", min=0, help="Only this; may be repeated.")] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Only rows that a judge gave at least this (`sedi judge`).")
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="The judge, as `sedi report` names it. Default: the only one.")
    ] = None,
    judged_through: Annotated[
        int | None, typer.Option("--judged-through", min=0, help="The last offset of `judged` that counts.")
    ] = None,
    license: Annotated[
        str, typer.Option("--license", help="For the data card, as hubs name it, such as apache-2.0.")
    ] = "unknown",
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check the folder's files against its manifest.")
    ] = False,
    from_files: FromFiles = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Write a run's kept rows as data sets, with the lineage of every row, a data card and a manifest.

    Covers the decided generations; the run may go on meanwhile. The same offsets give the same bytes. With --verify it
    ends with 1 when a file has changed.
    """
    if verify:
        _verify(folder, as_json=as_json)
        return
    from consumers.export.run import ExportOptions
    from sedi.output import print_json
    from sedi.reading_progress import counting_progress

    if min_score is None and (judge is not None or judged_through is not None):
        raise ConfigurationError("--judge and --judged-through are for --min-score. Give the least score, or neither.")
    options = ExportOptions(
        formats=_formats(format or []),
        through=through,
        exclude=exclude,
        clusters=tuple(cluster or ()),
        license=_license(license),
        min_score=min_score,
        judge=judge,
        judged_through=judged_through,
    )
    reading = opened(run, from_files, bootstrap_servers, state_dir)
    began = time.monotonic()
    with reading, counting_progress("exporting", "rows") as progress:
        manifest = reading.export(folder, options, progress=progress)
    if as_json:
        print_json(manifest)
    else:
        _show(manifest, folder, time.monotonic() - began)


def _formats(names: list[str]) -> tuple[Format, ...]:
    from consumers.export.run import FORMATS, ExportOptions

    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise ConfigurationError(f"--format {unknown[0]!r} is not known. Choose from {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in names) or ExportOptions.formats


def _license(name: str) -> str:
    if not _LICENSE.fullmatch(name):
        raise ConfigurationError(f"--license {name!r} is not a name that hubs use. Give one such as apache-2.0.")
    return name


def _verify(folder: Path, *, as_json: bool) -> None:
    from consumers.export.manifest import differences
    from sedi.output import console, print_json

    manifest, found = differences(folder)
    if as_json:
        print_json({"folder": str(folder), "files": len(manifest.files), "same": not found, "differences": found})
    else:
        out = console()
        for difference in found:
            out.print(f"{difference.name} {difference.what}")
        out.print(f"{len(manifest.files) - len(found)} of {len(manifest.files)} files are unchanged")
    if found:
        raise typer.Exit(ExitCode.FAILED)


def _show(manifest: ExportManifest, folder: Path, seconds: float) -> None:
    import msgspec

    from sedi.output import console, table

    rows = [
        (file.name, "" if file.rows is None else f"{file.rows:,}", f"{file.bytes:,}", file.sha256)
        for file in manifest.files
    ]
    out = console()
    out.print(
        table(
            f"{folder}: run {manifest.run}, generated up to offset {manifest.through}",
            ("file", "#rows", "#bytes", "SHA-256"),
            rows,
        )
    )
    left_out = "" if manifest.excluded is None else f", {manifest.excluded.rows:,} left out by id"
    withheld = manifest.withheld
    if not isinstance(withheld, msgspec.UnsetType):
        left_out += (
            f", {withheld.below:,} withheld for their score, {withheld.unreadable:,} without one, "
            f"{withheld.unjudged:,} not judged"
        )
    out.print(f"{manifest.rows:,} rows{left_out}, in {seconds:.1f} s")
