"""`sedi eval`: benchmarks, answers, comparisons, and their report.

model_source     which model is meant; `options`: words that commands share
answering        models answer sets; `judging`: and a judge reads the answers
generation_sets  the sets of generation benchmarks
studies          the paper's tables and figures, as lists of commands

Beside these, there is one module for each sub-command.
"""

from types import ModuleType

import typer

from sedi.eval import alpaca_eval, answers, benchmarks, compare, generation, refusals, report, study

_COMMANDS: tuple[ModuleType, ...] = (benchmarks, answers, compare, generation, refusals, alpaca_eval, report, study)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="eval",
        help="What a model is worth: benchmarks, answers, comparisons by a judge; every question is an event.",
        no_args_is_help=True,
    )
    for command in _COMMANDS:
        command.register(group)
    app.add_typer(group)
