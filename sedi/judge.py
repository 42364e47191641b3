"""`sedi judge`: an LLM scores the kept rows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from schemas.events import InstructionJudged


def register(app: typer.Typer) -> None:
    examples = epilog(
        "sedi judge --until-end --max-usd 5",
        "sedi judge --rubric helpfulness --model <name> --sample 0.1 --in-flight 32",
        "sedi export ./good --min-score 4.5",
    )
    app.command("judge", epilog=examples)(judge_command)


def judge_command(
    *,
    run: Run = DEFAULT_RUN,
    rubric: Annotated[str, typer.Option("--rubric", help="`accuracy` or `helpfulness`.")] = "accuracy",
    until_end: Annotated[bool, typer.Option("--until-end", help="End when the rows there are now are judged.")] = False,
    sample: Annotated[float | None, typer.Option("--sample", help="Only this share of the rows, above 0 to 1.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows (of these).")] = None,
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Times a row is asked about, at most.")] = 2,
    max_usd: Annotated[float | None, typer.Option("--max-usd", help="Money of the run, its generators' too.")] = None,
    max_calls: Annotated[int | None, typer.Option("--max-calls", help="LLM calls of the run, failed too.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Tokens of the run, prompts too.")] = None,
    call_max_tokens: Annotated[
        int | None, typer.Option("--call-max-tokens", help="Of one answer; the default is 256.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Default: 0, and 0.7 when asked again.")
    ] = None,
    in_flight: Annotated[
        int | None, typer.Option("--in-flight", min=1, max=256, help="Calls at once, at most. It adapts.")
    ] = None,
    rpm: Annotated[float | None, typer.Option("--rpm", help="Calls a minute.")] = None,
    tpm: Annotated[float | None, typer.Option("--tpm", help="Tokens a minute.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Wait for an endpoint that is down.")] = False,
    model: Annotated[str | None, typer.Option("--model", help="At the endpoint. Default: setting model.")] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="`builtin`, `openai`, `transformers`, `recorded`, `load-model`.")
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option("--recorded", help="JSON Lines of answers, for `recorded`; --attempts a row.")
    ] = None,
    recorded_loop: Annotated[bool, typer.Option("--recorded-loop", help="Begin the file again at its end.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Ask an LLM how good each kept row is: a score from 0 to 5, in steps of 0.5, and why. Ends with Ctrl-C, a limit or
    --until-end.

    Nothing that the filter decided changes; `sedi export --min-score` and `sedi train --min-score` withhold rows.
    Limits hold for the whole run. Nothing that was judged is judged again, and no answer is paid for twice, over
    restarts too. Another model or rubric is another judge and begins anew.
    """
    from typing import cast

    from producers.backends.base import Sampling
    from producers.backends.recorded import RecordedOptions
    from producers.calls.limits import Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries
    from producers.judge.judge import JudgeOptions, judge
    from producers.judge.scoring import RowSample
    from producers.prompts.judge import RubricName
    from sedi.output import print_json, tell
    from sedi.reading_progress import counting_progress

    settings = cluster_of(bootstrap_servers, state_dir, backend="recorded" if recorded else backend, model=model)
    options = JudgeOptions(
        run,
        rubric=cast(RubricName, rubric),  # looked at by the options
        sample=RowSample(sample, limit),
        recorded=None if recorded is None else RecordedOptions(recorded, loop=recorded_loop, per_generation=attempts),
        limits=Limits(max_calls=max_calls, max_tokens=max_tokens, max_usd=max_usd),
        retries=Retries(forever=forever),
        rate=RateOptions(rpm=rpm, tpm=tpm),
        sampling=Sampling(temperature=temperature, max_tokens=call_max_tokens),
        attempts=attempts,
        until_end=until_end,
        in_flight=in_flight,
    )
    without: list[InstructionJudged] = []

    def told(event: InstructionJudged) -> None:
        if event.score is None and not without:
            without.append(event)
            tell(f"Row {event.kept_id} has no score: {event.reason}. Others like it are counted and not told.")

    with counting_progress("judging", "rows") as on_rows:
        summary = judge(options, settings, on_judged=told, on_rows=on_rows, progress=tell)
    if as_json:
        print_json(summary)
        return
    tell(
        f"{summary.judged} rows judged by {summary.judge}, {summary.unreadable} of them without a score; "
        f"ended: {summary.ended}. `sedi report` shows the scores."
    )
