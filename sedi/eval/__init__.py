"""`sedi eval`: benchmarks, answers, comparisons, and their report.

model_source   which model is meant; one module for each sub-command
"""

from types import ModuleType

import typer

from sedi.eval import study

_COMMANDS: tuple[ModuleType, ...] = (study,)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="eval",
        help="What a model is worth: benchmarks, answers, comparisons by a judge; every question is an event.",
        no_args_is_help=True,
    )
    for command in _COMMANDS:
        command.register(group)
    app.add_typer(group)
