"""`sedi judge`: an LLM scores the kept rows of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi import llm_options as llm
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, MetricsPort, Run

if TYPE_CHECKING:
    from schemas.events import InstructionJudged


@command(
    "judge",
    "sedi judge --until-end --max-usd 5",
    "sedi judge --rubric helpfulness --model <name> --sample 0.1 --in-flight 32",
    "sedi export ./good --min-score 4.5",
)
def judge_command(
    *,
    run: Run = DEFAULT_RUN,
    rubric: Annotated[str, typer.Option("--rubric", help="`accuracy` or `helpfulness`.")] = "accuracy",
    until_end: Annotated[bool, typer.Option("--until-end", help="End when the rows there are now are judged.")] = False,
    sample: Annotated[float | None, typer.Option("--sample", help="Only this share of the rows, above 0 to 1.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows (of these).")] = None,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Times a row is asked about, at most; its lines of --recorded.")
    ] = 2,
    budget: llm.Budget,
    call_max_tokens: Annotated[
        int | None, typer.Option("--call-max-tokens", min=1, help="Of one answer; the default is 256.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, help="Default: 0, and 0.7 when asked again.")
    ] = None,
    pace: llm.Pace,
    batching: llm.Batching,
    model: llm.Model = None,
    backend: llm.Backend = None,
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    metrics_port: MetricsPort = None,
    common: CommonOptions,
) -> None:
    """Score each kept row with an LLM: from 0 to 5, in steps of 0.5, with a reason. Ends with Ctrl-C, a limit or
    --until-end.

    The filter's decisions do not change; `sedi export --min-score` and `sedi train --min-score` leave rows out. Limits
    hold for the whole run, its generators' calls included. No row is judged twice and no answer is paid for twice, over
    restarts too. Another model or rubric is another judge and starts from the first row.
    """
    from typing import cast

    from producers.backends.base import Sampling
    from producers.backends.recorded import RecordedOptions
    from producers.judge.judge import JudgeOptions, judge
    from producers.judge.scoring import RowSample
    from producers.prompts.judge import RubricName
    from sedi.output import notify, print_json
    from sedi.reading_progress import counting_progress

    settings = llm.llm_settings(common, backend=backend, recorded=recorded, model=model, metrics_port=metrics_port)
    options = JudgeOptions(
        run,
        rubric=cast(RubricName, rubric),  # checked by the options
        sample=RowSample(sample, limit),
        recorded=None if recorded is None else RecordedOptions(recorded, loop=recorded_loop, per_generation=attempts),
        sampling=Sampling(temperature=temperature, max_tokens=call_max_tokens),
        attempts=attempts,
        until_end=until_end,
        **llm.call_fields(budget, pace, batching),
    )
    without: list[InstructionJudged] = []

    def report(event: InstructionJudged) -> None:
        if event.score is None and not without:
            without.append(event)
            notify(f"Row {event.kept_id} has no score: {event.reason}. Further ones are only counted.")

    with counting_progress("judging", "rows") as on_rows:
        summary = judge(options, settings, on_judged=report, on_rows=on_rows, progress=notify)
    if common.as_json:
        print_json(summary)
        return
    notify(
        f"{summary.judged} rows judged by {summary.judge}, {summary.unreadable} of them without a score; "
        f"ended: {summary.ended}. `sedi report` shows the scores."
    )
