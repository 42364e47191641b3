"""`sedi run`: a whole run in one terminal."""

from __future__ import annotations

import shlex
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.distribution import require
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode
from sedi.run_flags import DescribedRun

if TYPE_CHECKING:
    from sedi.run_file.plan import RunPlan
    from sedi.run_progress import RunEnding


@command(
    "run",
    "sedi run --preset demo",
    "sedi init mine.toml",
    "sedi run mine.toml",
    "sedi run mine.toml --set train.precision=fp32 --max-usd 20",
    "sedi run --preset goliath --corpus ./texts --run mine",
    "sedi run mine.toml --max-kept 52000 --estimate",
    "sedi run mine.toml --web",
)
def run_command(
    *,
    described: DescribedRun,
    producer: Annotated[
        str | None, typer.Option("--producer", help="`sedi` from seeds, `goliath` from documents, or `both`.")
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option("--corpus", metavar="PATH", help="A file or folder of documents to add first; may be repeated."),
    ] = None,
    windows: Annotated[int | None, typer.Option("--windows", min=1, help="End after so many more windows.")] = None,
    max_kept: Annotated[int | None, typer.Option("--max-kept", min=1, help="End when so many are kept.")] = None,
    max_candidates: Annotated[int | None, typer.Option("--max-candidates", min=1, help="Generate no more.")] = None,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="End after so many LLM calls.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Let answers take no more.")] = None,
    max_usd: Annotated[float | None, typer.Option("--max-usd", min=0, help="End when so much was spent.")] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds; fails if a part stands still.")
    ] = None,
    generate: Annotated[
        list[str] | None,
        typer.Option("--generate", help="An argument for `sedi generate`; better: --set generate.FIELD=VALUE."),
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option("--train", help="An argument for `sedi train`; better: --set train.FIELD=VALUE.")
    ] = None,
    no_trainer: Annotated[bool, typer.Option("--no-trainer", help="Generate and filter only.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Serve the run's page meanwhile, on this machine only.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Check what is described, and start nothing.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Estimate what the run will still take, by its log, and start nothing.")
    ] = False,
    common: CommonOptions,
) -> None:
    """Start the broker, a worker, a trainer and a generator; show how it goes; end it in order.

    Instructions are made from seeds, from documents (`--producer goliath --corpus PATH`), or from both in one run.

    FILE describes the run (`sedi init FILE` writes one); --set and the other flags win over it. It is checked whole
    before anything starts: each mistake is reported with its line.

    A run of the same name goes on where it was. Ctrl-C once ends it in order: calls in flight are written, what is
    written is decided, the trainer saves its checkpoint; twice ends it at once. Nothing is lost either way. SIGTERM and
    a closed terminal do the same. Without windows or a budget it goes on until then. At --time-limit it ends in order
    and with 0, unless a part of the run does not move. The broker stays up for a look at the log.
    """
    from consumers.folds.read_fold import FoldFolder
    from consumers.report import report
    from infra.log.source import KafkaSource
    from sedi.configuring import prepare
    from sedi.estimating import budget_warning
    from sedi.fit import Fitting
    from sedi.live import LiveView
    from sedi.orchestrate import Orchestrator
    from sedi.output import console, priced, print_json
    from sedi.report import show_report, with_prices
    from sedi.run_page import page_of
    from sedi.run_prices import stale_prices

    flags = {
        ("--producer", "producer"): producer,
        ("--corpus", "corpus"): corpus or None,
        ("--windows", "windows"): windows,
        ("--max-kept", "max_kept"): max_kept,
        ("--max-candidates", "max_candidates"): max_candidates,
        ("--max-calls", "max_calls"): max_calls,
        ("--max-tokens", "max_tokens"): max_tokens,
        ("--max-usd", "max_usd"): max_usd,
        ("--time-limit", "time_limit_s"): time_limit,
        ("--no-trainer", "trainer"): False if no_trainer else None,
    }
    arguments = {"generate": generate or (), "train": train or ()}
    plan = described.planned(common, flags, arguments=arguments)
    if check:
        _show_checked(plan, common.bootstrap_servers, common.state_dir, as_json=common.as_json)
        return
    if estimate:
        _show_estimate(plan, as_json=common.as_json)
        return
    if web:
        require("web", "sedi run --web")
    options, settings, run = plan.options, plan.settings, plan.run
    out = console()
    with LiveView(out) as view:
        for stale in stale_prices(options, settings, date.today()):
            view.say(stale)
        with Fitting(options, settings, run, view.say) as fitting:
            policy = prepare(settings, run, options, view.say)
            options = fitting.options(policy)
        if (warning := budget_warning(settings, options, policy)) is not None:
            view.say(warning)
        with page_of(settings, run, view.say, wanted=web):
            ended = Orchestrator(settings, run, options, policy, view.show, view.say).play()
    found = report(KafkaSource(settings, run), snapshots=FoldFolder(settings.state_dir))
    found = with_prices(found, settings)
    if common.as_json:
        print_json({"reason": ended.reason, "reached": ended.reached, "report": found})
    else:
        show_report(found, priced=priced(settings))
        out.print(_further(ended.reason, run))
    raise typer.Exit(exit_code_of(ended))


def _show_checked(plan: RunPlan, bootstrap_servers: str | None, state_dir: Path | None, *, as_json: bool) -> None:
    from sedi.configure import commands_to_start
    from sedi.output import print_json
    from sedi.run_options import policy_as_new

    policy = policy_as_new(plan.options, plan.settings)
    commands = commands_to_start(plan.options, policy, bootstrap_servers, state_dir, plan.variables)
    if as_json:
        print_json({"run": plan.run, "policy": policy, "parts": commands})
    else:
        typer.echo("\n  ".join([f"Run {plan.run} can start. Its parts would be:", *commands]))


def _show_estimate(plan: RunPlan, *, as_json: bool) -> None:
    from sedi.estimating import estimate_run, show_estimate
    from sedi.output import print_result
    from sedi.reading_progress import log_progress

    with log_progress(f"Reading run {plan.run!r}"):
        found = estimate_run(plan.settings, plan.options)
    print_result(found, show_estimate, as_json=as_json)


def exit_code_of(ended: RunEnding) -> ExitCode:
    """0 too for a run that a time limit cut short while it went on: only what stands still has failed."""
    if ended.failed:
        return ExitCode.FAILED
    return ExitCode.INTERRUPTED if ended.interrupted and not ended.reached else ExitCode.OK


def _further(reason: str, run: str) -> str:
    sedi = sys.argv[0] if sys.argv[0].endswith("sedi") else "sedi"
    same = shlex.join([sedi, *sys.argv[1:]])  # with its preset: a training goes on only as it began
    name = "" if run == DEFAULT_RUN else f" --run {run}"
    commands = (
        (f"{sedi} report{name}", "what it made and what it cost; --json for all of it"),
        (f"{sedi} seeds history{name}", "which seeds were replaced, and why"),
        (f"{sedi} tail{name} --until-end", "every event; --topic kept for the data"),
        (same, "go on"),
        (f"{sedi} broker stop", "stop the broker"),
    )
    width = max(len(command) for command, _ in commands)
    lines = "\n".join(f"  {command:{width}}   {what}" for command, what in commands)
    return f"\nEnded: {reason}. The broker still runs, so that you can look further:\n{lines}"
