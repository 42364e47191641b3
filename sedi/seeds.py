"""`sedi seeds`: the pool of a run, its history, and the user's seed files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedi.commands import add_group, command
from sedi.options import DEFAULT_RUN, AsJson, CommonOptions, FromFiles, Run, StateDir, settings_of


def register(app: typer.Typer) -> None:
    add_group(
        app, "seeds", "The seed pool of a run: list, history; seed files: import.", (list_seeds, history, import_file)
    )


@command("list", "sedi seeds list --run demo --lowest")
def list_seeds(
    *,
    run: Run = DEFAULT_RUN,
    lowest: Annotated[bool, typer.Option("--lowest", help="Lowest score first, seeds without one last.")] = False,
    from_files: FromFiles = None,
    common: CommonOptions,
) -> None:
    """The seeds in the pool, each with its score: kept / generated of the generations it was shown in."""
    from consumers.folds.read_fold import read_fold
    from consumers.seed_table import by_score, seed_rows
    from sedi.output import console, print_json
    from sedi.reading_progress import log_progress
    from sedi.seed_tables import seed_table

    reading = common.opened(run, from_files)
    with log_progress(f"Reading {reading.source.name}"):
        rows = seed_rows(read_fold(reading.source, reading.snapshots))
    if lowest:
        rows = (*by_score(rows), *(row for row in rows if row.score is None))
    if common.as_json:
        print_json(rows)
    else:
        console().print(seed_table(f"Seeds of run {reading.source.run}", rows))


@command("history", "sedi seeds history --run demo --json")
def history(*, run: Run = DEFAULT_RUN, from_files: FromFiles = None, common: CommonOptions) -> None:
    """Every replacement of a seed: the training window and step that caused it, the victim with its score, the new one.

    Without --json also the outcomes of all windows and the verdicts on their candidates. For each in full: sedi tail
    --topic seed-commands.
    """
    from consumers.folds.read_fold import read_fold
    from consumers.seed_table import candidate_verdicts, replacement_rows, window_outcomes
    from sedi.output import console, print_json
    from sedi.reading_progress import log_progress
    from sedi.seed_tables import history_table, outcome_table, verdict_table

    reading = common.opened(run, from_files)
    source = reading.source
    with log_progress(f"Reading {source.name}"):
        fold = read_fold(source, reading.snapshots)
    rows = replacement_rows(fold)
    if common.as_json:
        print_json(rows)
    else:
        console().print(history_table(f"Seed replacements of run {source.run}", rows))
        console().print(outcome_table(window_outcomes(fold)))
        console().print(verdict_table(candidate_verdicts(fold)))


@command("import", "sedi seeds import seed_tasks.jsonl --name classic", "sedi run --seeds classic")
def import_file(
    file: Annotated[Path, typer.Argument(help="A file of rows: JSON Lines, JSON, CSV or Parquet.")],
    name: Annotated[str | None, typer.Option("--name", help="Name to install it under. Default: the file's.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite seeds of that name.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Check a seed file and install it under a name, for `sedi run --seeds NAME`.

    A row has instruction, input and output, or other usual columns (docs/training.md), or Self-Instruct's instruction
    and instances [{input, output}]; id and is_classification are optional.
    """
    from sedi.output import console, print_json
    from sedi.seed_files import install

    installed = install(settings_of(state_dir=state_dir), file, name, replace=replace)
    if as_json:
        print_json(installed)
    else:
        seeds = f"{installed.seeds} seeds, {installed.classification} of them classification, in {installed.path}"
        console().print(f"{seeds}\nUse them with: sedi run --seeds {installed.name}", soft_wrap=True)
