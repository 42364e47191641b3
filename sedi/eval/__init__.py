"""`sedi eval`: benchmarks, answers, comparisons, and their report.

from sedi.eval import alpaca_eval, answers, benchmarks, compare, generation, refusals, report

_COMMANDS: tuple[ModuleType, ...] = (benchmarks, answers, compare, generation, refusals, alpaca_eval, report)
"""

from types import ModuleType

import typer



def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="eval",
        help="What a model is worth: benchmarks, answers, comparisons by a judge; every question is an event.",
        no_args_is_help=True,
    )
    for command in _COMMANDS:
        command.register(group)
    app.add_typer(group)
