"""`sedi eval alpaca-eval`: win rates from published annotation files of AlpacaEval. No cluster is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.commands import command
from sedi.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from consumers.evaluation.alpaca_eval import AlpacaEvalScore
    from consumers.evaluation.results import Interval


@command("alpaca-eval", "sedi eval alpaca-eval annotations.json", "sedi eval alpaca-eval --json a.json.gz b.json.gz")
def alpaca_eval_command(
    files: Annotated[list[Path], typer.Argument(help="Annotation files: a JSON array, gzipped or not.")],
    rng_seed: Annotated[int, typer.Option("--rng-seed", min=0, help="Seed of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Win rates of models against reference answers, from annotation files of AlpacaEval.

    A row has instruction, output_1 and generator_1 (the reference), output_2 and generator_2 (the model), and the
    preference: 2 the model, 1 the reference, 0 a draw, or a number from 1 to 2. Rows without a preference are dropped
    and counted. All numbers but the last two columns are the published ones, on all rows and on each data set. The
    length is the mean of the outputs in the file; a leaderboard takes it over all outputs of the model.

    The last column is the win rate with the outputs' lengths held equal. It is not the leaderboard's length-controlled
    win rate, since it has no term for the difficulty of an instruction. Its 95 % interval is bootstrapped.
    """
    import msgspec

    from consumers.evaluation.alpaca_eval import alpaca_eval, read_annotations
    from sedi.output import console, notify, print_json

    read = [(file, read_annotations(file)) for file in files]
    scores = [(file, score) for file, rows in read for score in alpaca_eval(rows, rng_seed=rng_seed, say=notify)]
    if as_json:
        print_json([{"file": file, **msgspec.structs.asdict(score)} for file, score in scores])
        return
    tables: dict[str, list[AlpacaEvalScore]] = {}
    for file, score in scores:
        by = f" by {score.annotator}" if score.annotator else ""
        tables.setdefault(f"{file}: {score.model} against {score.reference}{by}, in percent", []).append(score)
    for title, found in tables.items():
        console().print(_table(title, found))
    console().print("* Length-controlled without a term for difficulty, so not the leaderboard's number.")


def _table(title: str, scores: list[AlpacaEvalScore]) -> Table:
    from sedi.output import table

    columns = ("data set", "#win rate", "#discrete", "#wins", "#losses", "#draws", "#dropped", "#length")
    rows = (
        (
            score.dataset,
            _with_error(score),
            _percent(score.discrete_win_rate),
            score.n_wins,
            score.n_wins_base,
            score.n_draws,
            score.dropped,
            score.avg_length,
            _interval(score.length_controlled_without_difficulty),
        )
        for score in scores
    )
    return table(title, (*columns, "#equal lengths*"), rows)


def _with_error(score: AlpacaEvalScore) -> str | None:
    if score.win_rate is None:
        return None
    return f"{score.win_rate:.3f}" + ("" if score.standard_error is None else f" ± {score.standard_error:.3f}")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _interval(found: Interval | None) -> str | None:
    return None if found is None else f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"
