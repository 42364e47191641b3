"""`sedi eval report`: everything that a run's log holds about evaluations, as tables, a page, figures or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, FromFiles, Run

if TYPE_CHECKING:
    from consumers.evaluation.results import EvaluationReport

_TEXT = 60  # characters of a cell in a terminal
_COMMANDS = (
    "sedi eval benchmarks builtin --task arc_easy --data FOLDER",
    "sedi eval answers builtin --set PROMPTS.jsonl",
    "sedi eval compare MODEL MODEL --set PROMPTS.jsonl",
)


@command(
    "report",
    "sedi eval report --run demo",
    "sedi eval report --run demo --model before --model after --html evaluation.html --plot figures",
    "sedi eval report --from-files ARCHIVE --json",
)
def report(
    *,
    run: Run = DEFAULT_RUN,
    from_files: FromFiles = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Show this model only, by its name or key; may be repeated. Differences are to the first one.",
        ),
    ] = None,
    equal: Annotated[
        str,
        typer.Option(
            "--equal",
            metavar="tie|decided|average",
            help="How equal scores in one order count: as an order that neither wins, as no vote, or by mean scores.",
        ),
    ] = "tie",
    rng_seed: Annotated[int, typer.Option("--rng-seed", min=0, help="Of the bootstraps.")] = 0,
    details: Annotated[bool, typer.Option("--details", help="Print every subject and category; the page has them.")] = (
        False
    ),
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page without script.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FOLDER", help="Write the figures as PNG.")] = None,
    common: CommonOptions,
) -> None:
    """Everything on a run's log about evaluations: benchmarks, answers, comparisons, each with 95 % intervals.

    It is computed from the log alone. What could not be scored is counted beside what was. Without an evaluation on the
    log the command says so, names the commands that make one, and ends with 0.
    """
    from consumers.evaluation.report import evaluation_report, is_empty
    from schemas.errors import ConfigurationError
    from sedi.output import console, notify, print_json
    from sedi.reading_progress import log_progress
    from streams.core.evaluation.outcomes import EQUALS

    chosen = next((known for known in EQUALS if known == equal), None)
    if chosen is None:
        raise ConfigurationError(f"--equal takes {', '.join(EQUALS)}; {equal!r} is none of them.")
    with common.opened(run, from_files) as reading, log_progress("Reading the evaluations"):
        found = evaluation_report(reading.source, models=models or (), equal=chosen, rng_seed=rng_seed)
    if html is not None:
        from consumers.evaluation.page import write_evaluation_page

        write_evaluation_page(found, html)
        notify(f"Page: {html}")
    if plot is not None:
        from consumers.evaluation.plots import write_evaluation_plots

        notify(f"{len(write_evaluation_plots(found, plot))} figures in {plot}")
    if common.as_json:
        print_json(found)
    elif is_empty(found):
        commands = "".join(f"\n  {command}{_run_option(run, from_files)}" for command in _COMMANDS)
        console().print(f"There is no evaluation on the log of {reading.name}. These commands make one:\n{commands}")
    else:
        show_evaluation(found, details=details)


def show_evaluation(found: EvaluationReport, *, details: bool = True) -> None:
    """Print the tables and notes on standard output."""
    from consumers.evaluation.tables import tables
    from sedi.output import console, print_tables

    print_tables(tables(found, details=details), _TEXT)
    for note in found.notes:
        console().print(f"- {note}")


def _run_option(run: str, from_files: Path | None) -> str:
    return "" if from_files is not None or run == DEFAULT_RUN else f" --run {run}"
