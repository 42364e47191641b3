"""`sedi eval benchmarks`: models on multiple-choice benchmarks and held-out rows, by log-likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.commands import command
from sedi.eval.options import Step, TrustCheckpoint
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumers.evaluation.benchmarks.data import BenchmarkData
    from consumers.evaluation.benchmarks.engines import EngineOptions
    from consumers.evaluation.benchmarks.run import BenchmarkCount, MeasureSummary

_DEFAULT_TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu")
_HELD_OUT = "held-out"


@command(
    "benchmarks",
    "sedi eval benchmarks builtin run:demo --data ./questions --limit 200 --per-subject 5",
    "sedi eval benchmarks --run demo --step 300 --task arc_easy --task held-out=rows.jsonl --data ./questions",
)
def benchmarks(
    *,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Folder, hub name, `builtin`, run:NAME or run:NAME@STEP; NAME=MODEL names it. Default: the run's own.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="`arc_easy`, `arc_challenge`, `hellaswag`, `mmlu`, `held-out=FILE`. Repeatable."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Of question files. Default: from the hub.")
    ] = None,
    per_subject: Annotated[
        int | None, typer.Option("--per-subject", min=1, help="Questions of each subject (MMLU), at most.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Questions of any other task, at most.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the samples.")] = 0,
    run: Run = DEFAULT_RUN,
    step: Step = None,
    engine: Annotated[
        str, typer.Option("--engine", help="`direct`, or `lm-eval`: by lm-evaluation-harness, slower.")
    ] = "direct",
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Tokens computed at once. Default: 512, on a GPU 32768.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="`auto`, `cpu` or `cuda`.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="`auto`, `bf16`, `fp16` or `fp32`.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Of torch on the CPU. Default: half of the cores.")
    ] = None,
    trust_checkpoint: TrustCheckpoint = False,
    common: CommonOptions,
) -> None:
    """Measure models on MMLU (5 solved examples), HellaSwag, ARC easy and challenge (none), and on held-out rows.

    Each question is an event on the run's log, with the log-likelihood of every choice. Questions that are there are
    not measured again: the command continues after Ctrl-C or a crash, and a larger sample adds to a smaller one of the
    same seed. `eval report` shows the scores with their intervals. A run that does not exist is made.

    Files in FOLDER are arc_easy_test*, arc_challenge_test*, hellaswag_val*, mmlu_test* and mmlu_dev*, with the fields
    of the hub's data sets, or `choices` as texts and `answer` as a place from 0.
    """
    from infra.distribution import require

    require("eval", "sedi eval benchmarks")
    from consumers.evaluation.benchmarks.run import MeasureOptions, measure
    from schemas.errors import ConfigurationError
    from sedi.ensure_run import ensure_run
    from sedi.eval.options import model_sources
    from sedi.output import notify, print_result
    from sedi.reading_progress import counting_progress

    how = _engine_options(engine, device, precision, threads, batch)
    settings = common.cluster()
    found = _data(task or _DEFAULT_TASKS, data, per_subject, limit, seed, engine, notify)
    sources = model_sources(models, run=run, step=step, settings=settings, say=notify, trust=trust_checkpoint)
    asked: list[MeasureOptions] = []
    for source in sources:
        if source.folder is None:
            raise ConfigurationError(
                f"{source.model.name} has no weights here, and benchmarks need log-likelihoods. Give a model's folder, "
                "a hub name or a run."
            )
        asked.append(
            MeasureOptions(run=run, model=source.model, folder=source.folder, template=source.template, engine=how)
        )
    ensure_run(settings, run, notify)
    summaries: list[MeasureSummary] = []
    for options in asked:
        with counting_progress(f"measuring {options.model.name}", "questions") as on_questions:
            summaries.append(measure(options, found, settings, on_questions=on_questions, say=notify))
        if not summaries[-1].complete:
            break
    print_result(summaries, _show, as_json=common.as_json)
    if not summaries[-1].complete:
        notify("Stopped. Start the same command again to measure the rest.")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _engine_options(engine: str, device: str, precision: str, threads: int | None, batch: int | None) -> EngineOptions:
    import msgspec

    from consumers.evaluation.benchmarks.engines import EngineOptions
    from schemas.errors import ConfigurationError

    fields = {
        "engine": engine,
        "device": device,
        "precision": None if precision == "auto" else precision,
        "threads": threads,
        "batch_tokens": batch,
    }
    try:
        return msgspec.convert(fields, EngineOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{error}. `sedi eval benchmarks --help` lists the values.") from error


def _data(
    tasks: Sequence[str],
    folder: Path | None,
    per_subject: int | None,
    limit: int | None,
    seed: int,
    engine: str,
    say: Callable[[str], None],
) -> list[BenchmarkData]:
    from consumers.evaluation.benchmarks.data import read_benchmark, read_held_out
    from schemas.errors import ConfigurationError

    found = []
    for task in dict.fromkeys(tasks):
        name, _, file = task.partition("=")
        if name != _HELD_OUT:
            found.append(read_benchmark(task, folder, per_subject=per_subject, limit=limit, seed=seed))
            continue
        if not file:
            raise ConfigurationError(f"The task {_HELD_OUT} needs a file of rows: --task {_HELD_OUT}=rows.jsonl.")
        if engine != "direct":
            raise ConfigurationError(f"{_HELD_OUT} rows are measured by our own engine only: leave --engine out.")
        found.append(read_held_out(Path(file).expanduser(), limit, seed, say))
    return found


def _show(summaries: Sequence[MeasureSummary]) -> None:
    from sedi.output import console, table

    rows = [
        (summary.model, count.name, count.form, count.sample or "all", *_numbers(count))
        for summary in summaries
        for count in summary.benchmarks
    ]
    columns = ("model", "task", "form of the data", "sample", "measured", "right", "per character", "loss")
    console().print(table("Measured", columns, rows))


def _numbers(count: BenchmarkCount) -> tuple[object, ...]:
    from sedi.output import percent, shown

    done = count.known + count.measured
    of = f"{done} of {count.questions}" + (f" ({count.known} before)" if count.known else "")
    if not done:
        return of, "–", "–", "–"
    if count.loss is not None:
        return of, "–", "–", shown(count.loss)
    return of, percent(count.right / done), percent(count.right_per_character / done), "–"
