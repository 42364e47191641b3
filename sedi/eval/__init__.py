"""`sedi eval`: benchmarks, answers, comparisons, and their report.

model_source     which model is meant; `options`: words that commands share
answering        models answer sets; `judging`: and a judge reads the answers
generation_sets  the sets of generation benchmarks
studies          the paper's tables and figures, as lists of commands

Beside these, there is one module for each sub-command.
"""

import typer

from sedi.commands import add_group
from sedi.eval import alpaca_eval, answers, benchmarks, compare, generation, refusals, report, study


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "eval",
        "What a model is worth: benchmarks, answers, comparisons by a judge; every question is an event.",
        (
            benchmarks.benchmarks,
            answers.answers_command,
            compare.compare_command,
            generation.generation,
            refusals.refusals_command,
            alpaca_eval.alpaca_eval_command,
            report.report,
            study.study,
        ),
    )
