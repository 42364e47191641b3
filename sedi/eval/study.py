"""`sedi eval study`: one of the paper's tables or figures, from generation to the drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedi import llm_options as llm
from sedi.commands import command
from sedi.eval import judging as judge_options
from sedi.options import CommonOptions, words_of


@command(
    "study",
    "sedi eval study table1 --data ../shared/data",
    "sedi eval study fig7 --data ./data --side mine=mine.toml --side baseline=self-instruct",
    "sedi eval study table2 --large gpt-4.1-mini --kept 2000 --dry-run",
    "sedi eval study yield --rng 1,2,3 --minutes 40 --kept 10000",
)
def study(
    name: Annotated[str, typer.Argument(help="table1, table5, fig7, table2, fig9, fig10 or yield.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder with eval_mc and eval_open; docs/evaluation.md.")
    ] = None,
    side: Annotated[
        list[str] | None,
        typer.Option("--side", metavar="NAME=FILE", help="A run file, or sedi or self-instruct; the baseline first."),
    ] = None,
    size: Annotated[str, typer.Option("--size", help="`demo` or `paper`: how much of everything.")] = "demo",
    kept: Annotated[int | None, typer.Option("--kept", min=1, help="Rows that each side keeps and trains.")] = None,
    questions: Annotated[int | None, typer.Option("--questions", min=1, help="Of each benchmark but MMLU.")] = None,
    per_subject: Annotated[int | None, typer.Option("--per-subject", min=1, help="Of each MMLU subject.")] = None,
    prompts: Annotated[int | None, typer.Option("--prompts", min=1, help="Of each set of prompts.")] = None,
    tokens: Annotated[int | None, typer.Option("--call-max-tokens", min=1, help="Of an answer, at most.")] = None,
    large: Annotated[
        str | None, typer.Option("--large", metavar="MODEL", help="table2: the large generator, at the endpoint.")
    ] = None,
    rng: Annotated[str, typer.Option("--rng", metavar="N,N", help="yield: rng seeds, a stream each.")] = "1,2,3",
    minutes: Annotated[float, typer.Option("--minutes", help="yield: that each stream takes at most.")] = 40.0,
    judge_model: judge_options.JudgeModel = None,
    judge_backend: judge_options.JudgeBackend = None,
    max_usd: llm.MaxUsd = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Of its runs' names. Default: study-NAME.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Default: <state_dir>/<prefix>.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, and run none.")] = False,
    *,
    common: CommonOptions,
) -> None:
    """Make one of the paper's tables or figures: generate and train each side, evaluate, and draw it from the log.

    Every step is a command that you could type; it is printed. Started again, a study continues where it was. At the
    demo's size it shows that all of it works, and nothing about which side is better.

    `yield` lists instructions alone, in one stream for each rng seed, and decides each again under the filters of
    Self-Instruct and SEDI-Instruct: what the paper's 36 % fewer calls come to with your LLM.
    """
    if name == "yield":
        _yield(rng, minutes, kept, prefix, output, common)
        return
    from dataclasses import replace

    from schemas.errors import ConfigurationError
    from schemas.topics import check_run_name
    from sedi.eval.studies import options as asked
    from sedi.eval.studies.plans import plan, trained_sides

    chosen = asked.study_name(name)
    given = {"kept": kept, "questions": questions, "per_subject": per_subject, "prompts": prompts, "tokens": tokens}
    settings = common.settings()
    named = check_run_name(prefix or f"study-{chosen}")
    sides = tuple(asked.side(text) for text in side) if side else asked.default_sides()
    if len({each.name for each in sides}) < len(sides):
        raise ConfigurationError("Two sides have one name, and so one run. Name each otherwise: --side NAME=FILE.")
    options = asked.StudyOptions(
        name=chosen,
        size=replace(
            asked.study_size(chosen, size), **{field: value for field, value in given.items() if value is not None}
        ),
        sides=sides,
        data=data,
        output=output or settings.state_dir / named,
        prefix=named,
        large=large,
        judge=tuple(words_of({"--judge-model": judge_model, "--judge-backend": judge_backend, "--max-usd": max_usd})),
    )
    steps = plan(options)
    if dry_run:
        import shlex

        for step in steps:
            typer.echo(f"sedi {shlex.join(step.arguments)}")
        return
    from sedi.eval.studies.result import StudyResult, as_table, study_tables, write
    from sedi.eval.studies.runner import run_steps
    from sedi.output import console, notify, print_json, print_tables

    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{options.output} is no folder: {error}. Give another --output.") from error
    seconds = run_steps(steps, settings, notify)
    tables, report = study_tables(options, settings)
    runs = [] if report is None else [named]
    page = options.output / "report.html"
    result = StudyResult(
        study=chosen,
        runs=(*runs, *(options.run_of(each.name) for each in trained_sides(options))),
        tables=tables,
        report=report,
        files=tuple(str(options.output / f"{chosen}.{end}") for end in ("json", "md")) + ((str(page),) if runs else ()),
        seconds=seconds,
    )
    write(result, options.output)
    if common.as_json:
        print_json(result)
        return
    for shown in tables:
        print_tables([as_table(shown)])
        for note in shown.notes:
            console().print(note)
    notify(f"Written: {', '.join(result.files)}. The runs stay on the log: {', '.join(result.runs)}.")


def _yield(
    rng: str, minutes: float, kept: int | None, prefix: str | None, output: Path | None, common: CommonOptions
) -> None:
    from schemas.topics import check_run_name
    from sedi.eval.studies.result import as_table
    from sedi.eval.studies.yield_streams import StreamRequest, make_streams, rng_seeds
    from sedi.eval.studies.yield_study import studied, tables_of, write_files
    from sedi.output import console, notify, print_json, print_tables
    from sedi.reading_progress import staged_progress

    settings = common.settings()
    named = check_run_name(prefix or "study-yield")
    folder = output or settings.state_dir / named
    request = StreamRequest(rng_seeds(rng), kept or 10_000, minutes, folder, named)
    make_streams(request, settings, notify)
    with staged_progress("generations", lines=True) as progress:
        study = studied(request, progress)
    written = write_files(study, folder)
    if common.as_json:
        print_json(study)
        return
    for shown in tables_of(study):
        print_tables([as_table(shown)])
        for note in shown.notes:
            console().print(note)
    notify(f"Written: {', '.join(map(str, written))}. The streams stay there; delete one to make it again.")
