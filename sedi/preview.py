"""`sedi preview`: a handful of generations before one pays for a run, and what the run will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi.commands import command
from sedi.options import CommonOptions, ExitCode
from sedi.run_flags import DescribedRun

if TYPE_CHECKING:
    from consumers.estimate.estimate import CallPace
    from infra.settings import Settings
    from producers.preview.preview import Previewed, PreviewOptions
    from producers.preview.previewed import PreviewedGeneration, PreviewedInstruction
    from sedi.estimating import RunEstimate
    from sedi.run_options import RunOptions

_SHOWN = 300  # characters of an answer


@command(
    "preview",
    "sedi preview mine.toml",
    "sedi preview --run mine --generations 10 --target 52000",
    "sedi preview mine.toml --set generate.temperature=1.0 --max-usd 0.10",
    "sedi preview mine.toml --json",
)
def preview_command(
    *,
    described: DescribedRun,
    generations: Annotated[int, typer.Option("--generations", min=1, max=100, help="How many to ask for.")] = 5,
    target: Annotated[
        int | None,
        typer.Option("--target", min=1, help="Kept rows to estimate for. Default: the run's max_kept, or 10,000."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask for new ones, though an earlier preview has some.")
    ] = False,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="Of the run, this preview's too.")] = None,
    max_usd: Annotated[float | None, typer.Option("--max-usd", min=0, help="Of the run, this preview's too.")] = None,
    common: CommonOptions,
) -> None:
    """Ask the LLM for a few generations of a run, show what the filter would keep, and estimate what the run will take.

    It takes what describes a run, as `sedi run` does. Decisions are made in memory, with what the run has kept so far:
    nothing is generated, kept or trained. The calls are the run's: they are on its ledger, its budgets count them, and
    `sedi report` has them as `preview`. A second preview of the same requests shows the same answers and asks nothing.

    A run that is not there yet is made, as by `sedi configure`, and started by nobody. Its policy and seeds are fixed
    by that: to try others, give each its own --run. Style, model and temperature may change from preview to preview.

    The estimate gives calls, tokens, money and hours to the target, each with an interval: from the run's own log, or,
    of a run with fewer than 20 decided generations, from the preview. Until 300 rows are kept, a usual fall of the
    yield is assumed.
    """
    from consumers.estimate.estimate import FEWEST
    from infra.log.run import read_run
    from producers.preview.preview import preview
    from schemas.errors import ConfigurationError, RunError
    from sedi.configuring import prepare
    from sedi.estimating import basis_of, basis_of_preview, estimated, history_for, show_estimate
    from sedi.output import notify, print_json

    plan = described.planned(common, {("--max-calls", "max_calls"): max_calls, ("--max-usd", "max_usd"): max_usd})
    options = plan.options
    if not options.from_seeds:
        raise ConfigurationError(
            "A preview is of instructions from seeds, and this run makes them from documents alone. Try these with "
            "`sedi generate --producer goliath --max-generations 5`, in a run of its own."
        )
    settings, asked, pace = _asked(options, plan.settings, generations, again=again)
    prepare(settings, plan.run, _without_trainer(options), notify)
    policy = read_run(settings, plan.run)[0].policy

    def report(generation: PreviewedGeneration) -> None:
        notify(f"generation {generation.number}: {len(generation.instructions)} instructions, {generation.kept} kept")

    found = preview(asked, settings, on_previewed=report, progress=notify)
    history = history_for(settings, plan.run)
    basis = basis_of(history, policy)
    if len(history.samples) < FEWEST:
        basis = basis_of_preview(found, policy, pace(found.in_flight))
    expected, why = None, None
    try:
        expected = estimated(settings, options, basis, history, target)
    except RunError as error:
        why = str(error)
    if common.as_json:
        print_json(_as_json(plan.run, found, expected, why))
    else:
        _show(found)
        if expected is not None:
            show_estimate(expected)
        elif why is not None:
            notify(why)
        if found.ended is not None:
            notify(f"Ended early: {found.ended}. The same command goes on with the answers that there are")
    if found.stopped:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not found.generations:
        raise typer.Exit(ExitCode.FAILED)


def _asked(
    options: RunOptions, settings: Settings, generations: int, *, again: bool
) -> tuple[Settings, PreviewOptions, Any]:
    """The settings of the run's generator, what is asked, and a function from the calls in flight to the pace."""
    from functools import partial

    from producers.backends.recorded import RecordedOptions
    from producers.calls.limits import Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries
    from producers.preview.preview import PreviewOptions
    from sedi.answer import answer_style_in_use
    from sedi.generate import style_in_use
    from sedi.output import notify
    from sedi.run_file.values import parsed

    given, _ = parsed("generate", options.generate)
    answering, _ = parsed("answerer", options.answer_arguments())
    chosen, others = _settings_of(settings, given), _settings_of(settings, answering)
    same = (chosen.backend, chosen.model) == (others.backend, others.model)
    if not same:
        notify(f"Answers are asked of another model ({others.model or others.backend}): they are not in the preview")
    recorded = given["recorded"]
    asked = PreviewOptions(
        options.run,
        style=style_in_use(chosen, given),
        answers=answer_style_in_use(others, answering) if same else None,
        generations=generations,
        again=again,
        recorded=None if recorded is None else RecordedOptions(recorded, per_generation=given["per_generation"] or 1),
        limits=Limits(max_calls=options.max_calls, max_tokens=options.max_tokens, max_usd=options.max_usd),
        rate=RateOptions(start=given["in_flight_start"], rpm=given["rpm"], tpm=given["tpm"]),
        retries=Retries(attempts=given["attempts"]),
        in_flight=given["in_flight"],
    )
    in_turn = chosen.backend != "openai"  # a model on this machine answers lists and rows one after the other
    return chosen, asked, partial(_pace, in_turn=in_turn, rpm=given["rpm"], tpm=given["tpm"])


def _pace(in_flight: int, **limits: Any) -> CallPace:
    from consumers.estimate.estimate import CallPace

    return CallPace(in_flight=in_flight, **limits)


def _settings_of(settings: Settings, given: dict[str, Any]) -> Settings:
    """The settings with what a part's arguments say of its LLM."""
    from sedi.run_file.checks import overridden

    names = {"batch": "transformers_batch", "load_model_seed": "load_model_seed"}
    chosen = {name: given[option] for option, name in names.items() if given.get(option) is not None}
    return overridden(settings, given).model_copy(update=chosen)


def _without_trainer(options: RunOptions) -> RunOptions:
    import msgspec

    return msgspec.structs.replace(options, trainer=False)


def _as_json(run: str, found: Previewed, expected: RunEstimate | None, why: str | None) -> dict[str, Any]:
    return {
        "run": run,
        "lane": found.lane,
        "generations": found.generations,
        "calls": found.calls,
        "run_cost_usd": found.spent_usd,
        "ended": found.ended,
        "estimate": expected,
        "no_estimate": why,
    }


def _show(found: Previewed) -> None:
    from sedi.output import console, table

    out = console()
    for generation in found.generations:
        title = f"Generation {generation.number}: {generation.kept} of {len(generation.instructions)} kept"
        if generation.unparsed:
            title += f", {generation.unparsed} parts unparsed"
        if generation.refused is not None:
            title += f"; {generation.refused}"
        out.print(table(title, ("verdict", "instruction", "input and output"), map(_row, generation.instructions)))
    out.print(f"{found.calls} calls made now; the run's ledger has them")


def _row(each: PreviewedInstruction) -> Sequence[object]:
    verdict = each.rejected or "kept"
    if each.similarity is not None:
        verdict += f" {each.similarity:.2f}"
    if each.unused is not None:
        verdict += f", answer not used: {each.unused}"
    text = each.instruction if each.nearest is None else f"{each.instruction} [nearest: {each.nearest}]"
    answer = " / ".join(part for part in (each.input, each.output) if part)
    return verdict, text, answer if len(answer) <= _SHOWN else f"{answer[: _SHOWN - 1]}…"
