"""`sedi withdraw`: everything that came from a document, a seed, a request, an instruction or a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.visible import visible
from schemas.errors import ConfigurationError
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, FromFiles, Run

if TYPE_CHECKING:
    from consumers.explain.withdrawal_schema import DerivationPath, SearchedDocument, Withdrawal

_ROWS_SHOWN = 30
_LINKS_SHOWN = 3
_ID_SHOWN = 8


@command(
    "withdraw",
    "sedi withdraw seed_task_7 --dry-run",
    "sedi withdraw 8f2c01 --dry-run",
    "sedi withdraw --model m-1 --dry-run -o withdrawn.txt; sedi export ./clean --exclude withdrawn.txt",
)
def withdraw_command(
    id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Of a document, seed, instruction, generation or request, or its start."),
    ] = None,
    *,
    run: Run = DEFAULT_RUN,
    model: Annotated[str | None, typer.Option("--model", help="Everything that came from this model.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show it. Required.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Print only the ids of the kept rows, one a line.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write those ids into a file.")
    ] = None,
    from_files: FromFiles = None,
    common: CommonOptions,
) -> None:
    """Everything that came from an id: generations shown a seed, their instructions, seeds these became, and so on.

    Of a document, withdrawn or not: the generations about its segments, their instructions, and so on. When a document
    is withdrawn (`sedi corpus withdraw`), exports and training leave out the rows made from it by themselves; leave out
    what came from these rows as seeds in the way below.

    Shows the kept rows with the path to each, the training steps they were in, the seeds they became. The log is never
    changed: leave the rows out of a data set with `sedi export FOLDER --exclude FILE`.
    """
    if not dry_run:
        raise ConfigurationError(
            "Nothing is ever removed from the log, which records what was trained on. Use --dry-run to see what came "
            "from it; write the rows' ids into a file with -o FILE, and leave them out with `sedi export FOLDER "
            "--exclude FILE`."
        )
    if (id is None) == (model is None):
        raise ConfigurationError("Give an ID or --model NAME, one of the two.")
    if ids and common.as_json:
        raise ConfigurationError("--ids and --json were both given; choose one.")

    from consumers.explain.withdraw import withdraw
    from sedi.output import print_result
    from sedi.reading_progress import log_progress

    source = common.opened(run, from_files).source
    with log_progress(f"Reading {source.name}"):
        found = withdraw(source, id=id, model=model)
    lines = "".join(f"{row.id}\n" for row in found.rows)
    if output is not None:
        _write(output, lines)
    if ids:
        sys.stdout.write(visible(lines) if sys.stdout.isatty() else lines)
    else:
        print_result(found, show_withdrawal, as_json=common.as_json)


def show_withdrawal(found: Withdrawal) -> None:
    """Print counts, seeds, rows and steps."""
    from sedi.output import console, percent, table

    out, totals = console(), found.totals
    start = f"model {found.model}" if found.model is not None else str(found.id)
    lines: list[tuple[str, object]] = [
        ("generations", totals.generations),
        ("instructions", f"{totals.instructions:,} ({totals.rejected:,} rejected, {totals.undecided:,} undecided)"),
        ("kept rows", totals.kept),
        ("by cluster", ", ".join(f"{cluster}: {rows:,}" for cluster, rows in totals.clusters.items()) or "none"),
        ("trained rows", f"{totals.trained:,} in {totals.steps:,} steps"),
        ("seeds", totals.seeds),
    ]
    if found.document is not None:
        lines.insert(0, ("document", _document(found.document)))
    out.print(table(f"What came from {start} in run {found.run}", ("", ""), lines))
    if found.seeds:
        seeds = [(s.id, "yes" if s.active else "no", _path(s.path), s.instruction[:60]) for s in found.seeds]
        out.print(table("Seeds", ("seed", "in the pool", "path", "instruction"), seeds[:_ROWS_SHOWN]))
    if found.rows:
        rows = [
            (
                row.id,
                row.cluster,
                ", ".join(f"{epoch}/{step}" for epoch, step in row.steps),
                _path(row.path),
                row.instruction,
            )
            for row in found.rows[:_ROWS_SHOWN]
        ]
        out.print(table("Kept rows", ("row", "#cluster", "epoch/step", "path", "instruction"), rows))
    more = max(len(found.rows), len(found.seeds)) - _ROWS_SHOWN
    if more > 0:
        out.print(f"... and {more:,} more; use --json or --ids for all.")
    if found.steps:
        whole = sum(step.rows == step.of for step in found.steps)
        share = sum(step.rows for step in found.steps) / sum(step.of for step in found.steps)
        out.print(f"Of those steps' rows {percent(share)} came from it; {whole:,} steps had no other rows.")


def _document(document: SearchedDocument) -> str:
    state = "not withdrawn" if document.withdrawn_offset is None else f"withdrawn at {document.withdrawn_offset}"
    dropped = "" if document.dropped is None else f", dropped: {document.dropped}"
    return f"{document.title or document.source}, {state}{dropped}"


def _path(path: DerivationPath) -> str:
    """The first and the last links of a path."""
    links = [f"{link.kind} {link.id if link.kind == 'seed' else link.id[:_ID_SHOWN]}" for link in path]
    if len(links) > _LINKS_SHOWN:
        links = [links[0], f"({len(links) - _LINKS_SHOWN + 1} more)", *links[-_LINKS_SHOWN + 2 :]]
    return " > ".join(links) or "the start"


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error}. Give another file with -o.") from error
