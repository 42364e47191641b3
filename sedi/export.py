"""`sedi export`: a run's kept rows, or models' answers, as data sets, and a check of an export's files."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import ConfigurationError
from schemas.topics import check_run_name
from sedi.options import DEFAULT_RUN, AsJson, ExitCode, FromFiles, Run, Servers, StateDir, epilog, opened

if TYPE_CHECKING:
    from consumers.export.answers import AnswerExportOptions
    from consumers.export.run import Format
    from sedi.api.opened import OpenRun

_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,62}")


def register(app: typer.Typer) -> None:
    app.command(
        "export",
        epilog=epilog(
            "sedi export ./demo-data --run demo --format alpaca --format parquet",
            "sedi export ./good --min-score 4.5",
            "sedi export ./all --run demo --also-run from-documents --with alpaca.json",
            "sedi export ./clean --exclude withdrawn.txt --through 1999",
            "sedi export ./answers --what answers --format alpaca-eval --model demo@300",
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
        typer.Option(
            "--format",
            help="alpaca (the default), sharegpt, openai, trl or parquet; of answers alpaca-eval (the default), "
            "predictions or jsonl; may be repeated.",
        ),
    ] = None,
    what: Annotated[
        Literal["rows", "answers"], typer.Option("--what", help="Kept rows, or the answers of `sedi eval`.")
    ] = "rows",
    through: Annotated[
        int | None,
        typer.Option("--through", min=0, help="The last offset of `generated` to cover. Default: the last decided."),
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option("--exclude", metavar="FILE", help="Leave out the instruction ids in it, one a line.")
    ] = None,
    cluster: Annotated[list[int] | None, typer.Option("--cluster", min=0, help="Only this; may be repeated.")] = None,
    with_: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="FILE",
            help="Add the rows of a file (JSON, JSONL, CSV, Parquet) that no row before equals; may be repeated.",
        ),
    ] = None,
    with_threshold: Annotated[
        float | None,
        typer.Option(
            "--with-threshold",
            metavar="SIMILARITY",
            help="Of added rows, leave out those whose instruction is more similar than this to one before. Default: "
            "only equal ones.",
        ),
    ] = None,
    also_run: Annotated[
        list[str] | None,
        typer.Option("--also-run", metavar="RUN", help="Add the rows of this run too; may be repeated."),
    ] = None,
    also_from_files: Annotated[
        list[Path] | None,
        typer.Option("--also-from-files", metavar="FOLDER", help="Add those of an archived run; may be repeated."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Only rows that a judge gave at least this (`sedi judge`).")
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="The judge, as `sedi report` names it. Default: the only one.")
    ] = None,
    judged_through: Annotated[
        int | None, typer.Option("--judged-through", min=0, help="The last offset of `judged` that counts.")
    ] = None,
    documents_through: Annotated[
        int | None,
        typer.Option("--documents-through", min=0, help="The last offset of `documents` whose withdrawals count."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Only answers of this model, by name or key; may be repeated.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Only answers to this set of prompts; may be repeated.")
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

    Covers the decided generations; the run may go on meanwhile. The same offsets give the same bytes. Rows made from a
    document that is withdrawn (`sedi corpus withdraw`) are left out. With --verify it ends with 1 when a file has
    changed.

    With --with, --also-run and --also-from-files it writes one data set of several sources: the run's rows, then those
    of the other runs, then those of the files, each without rows that an earlier one equals. Lineage, ShareGPT ids and
    Parquet name the source of each row. --through, --exclude and --cluster are for the run of --run; --min-score holds
    for every run, and not for files.

    With --what answers it writes the answers that models gave to sets of prompts: as AlpacaEval's model outputs, as
    predictions that `sedi eval` reads as a model's answers, or with all that is on the log.
    """
    if verify:
        _verify(folder, as_json=as_json)
        return
    of_rows = {
        "--through": through,
        "--exclude": exclude,
        "--cluster": cluster,
        "--min-score": min_score,
        "--judge": judge,
        "--judged-through": judged_through,
        "--documents-through": documents_through,
        "--with": with_,
        "--with-threshold": with_threshold,
        "--also-run": also_run,
        "--also-from-files": also_from_files,
    }
    _require_fitting(what, of_rows, {"--model": model, "--set": set_})
    if what == "answers":
        answers = _answer_options(format, model, set_, license)
        reading = opened(run, from_files, bootstrap_servers, state_dir)
        _export_answers(reading, folder, answers, as_json=as_json)
        return
    from consumers.export.run import ExportOptions
    from sedi.export_panels import show_export
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
        documents_through=documents_through,
        with_files=tuple(with_ or ()),
        with_threshold=with_threshold,
    )
    if with_threshold is not None and not (with_ or also_run or also_from_files):
        raise ConfigurationError("--with-threshold is for rows that are added. Add some with --with or --also-run.")
    also = [
        *(opened(check_run_name(name), None, bootstrap_servers, state_dir) for name in also_run or ()),
        *(opened("", archive) for archive in also_from_files or ()),
    ]
    reading = opened(run, from_files, bootstrap_servers, state_dir)
    began = time.monotonic()
    with reading, counting_progress("exporting", "rows") as progress:
        manifest = reading.export(folder, options, also=also, progress=progress)
    if as_json:
        print_json(manifest)
    else:
        show_export(manifest, folder, time.monotonic() - began)


def _require_fitting(what: str, of_rows: Mapping[str, object], of_answers: Mapping[str, object]) -> None:
    """Raise ConfigurationError for an option of rows with answers, or the other way round."""
    wrong = of_rows if what == "answers" else of_answers
    given = [name for name, value in wrong.items() if value is not None]
    if given:
        other = "rows" if what == "answers" else "answers"
        raise ConfigurationError(f"{given[0]} is for an export of {other}. Leave it out, or give --what {other}.")


def _answer_options(
    formats: list[str] | None, models: list[str] | None, sets: list[str] | None, license: str
) -> AnswerExportOptions:
    from consumers.export.answers import AnswerExportOptions, answer_formats

    return AnswerExportOptions(
        formats=answer_formats(formats or []),
        models=tuple(models or ()),
        sets=tuple(sets or ()),
        license=_license(license),
    )


def _export_answers(reading: OpenRun, folder: Path, options: AnswerExportOptions, *, as_json: bool) -> None:
    from sedi.export_panels import show_files
    from sedi.output import console, print_json
    from sedi.reading_progress import counting_progress

    began = time.monotonic()
    with reading, counting_progress("exporting", "answers") as progress:
        manifest = reading.export_answers(folder, options, progress=progress)
    if as_json:
        print_json(manifest)
        return
    title = f"{folder}: run {manifest.run}, answers"
    show_files(title, manifest.files)
    left = sum(series.outcomes.get(name, 0) for series in manifest.series for name in ("refused", "failed"))
    without = f", {left:,} of them refused or failed (without a text: in jsonl only)" if left else ""
    console().print(f"{manifest.answers:,} answers{without}, in {time.monotonic() - began:.1f} s")


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
