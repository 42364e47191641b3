"""`sedi generate`: one generator lane of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi import document_options as documents
from sedi import llm_options as llm
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, MetricsPort, Run, number_or_none

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.backends.recorded import Faults
    from producers.generate.style_factory import StyleInUse
    from schemas.events import InstructionsGenerated


@command(
    "generate",
    "sedi generate --max-kept 1000",
    "sedi generate --style two-step --lane second --max-calls 500",
    "sedi generate --backend transformers --model ./llama --batch 32",
    "sedi generate --max-kept 1000 --max-ahead none",
    "sedi generate --producer goliath --candidates 4 --strategies random=1,salient=2 --per-document 20",
    "sedi generate --backend openai --style two-step --batch-api --batch-size 1000 --max-ahead none",
    "sedi generate --forever --in-flight 64 --rpm 3000 --max-usd 200 --min-yield 0.05",
)
def generate_command(
    *,
    run: Run = DEFAULT_RUN,
    lane: Annotated[
        str | None,
        typer.Option("--lane", help="Name of this generator; each needs its own. Default: main; documents (goliath)."),
    ] = None,
    producer: documents.Producer = "sedi",
    style: Annotated[
        str | None, typer.Option("--style", help="`alpaca` (default), `two-step` (for builtin), `self-instruct`.")
    ] = None,
    parser: Annotated[
        str | None, typer.Option("--parser", help="`strict` (default), or `faithful` to Alpaca's mistakes.")
    ] = None,
    total: Annotated[int | None, typer.Option("--total", help="Tasks in all, seeds too (alpaca).")] = None,
    asked: Annotated[int | None, typer.Option("--asked", help="Instructions asked for in a list (not alpaca).")] = None,
    safety: Annotated[bool, typer.Option("--safety", help="Add the safety system prompt.")] = False,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, help="Default: the style's.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", min=0, max=1, help="Default: the style's.")] = None,
    call_max_tokens: Annotated[
        int | None, typer.Option("--call-max-tokens", min=1, help="Of one answer. Default: the style's.")
    ] = None,
    answer_max_tokens: Annotated[
        int | None, typer.Option("--answer-max-tokens", min=1, help="Not in alpaca; with goliath, of the rewrite.")
    ] = None,
    of_documents: documents.DocumentFlags,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            min=1,
            help="Generations under way at once; 4 (builtin), --batch (transformers), or twice what is in flight.",
        ),
    ] = None,
    in_flight: llm.InFlight = None,
    in_flight_start: Annotated[
        int | None,
        typer.Option("--in-flight-start", min=1, help="At first. Default: --in-flight, or what was found last."),
    ] = None,
    in_flight_least: Annotated[int, typer.Option("--in-flight-least", min=1, help="However busy the endpoint is.")] = 1,
    in_flight_step: Annotated[
        float | None, typer.Option("--in-flight-step", help="More a round without faults. Default: --in-flight / 16.")
    ] = None,
    rpm: llm.Rpm = None,
    tpm: llm.Tpm = None,
    forever: llm.Forever = False,
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="At a call that fails.")] = 8,
    breaker_failures: Annotated[
        int, typer.Option("--breaker-failures", min=1, help="In a row, after which calls wait for a probe to succeed.")
    ] = 10,
    max_kept: Annotated[
        int | None, typer.Option("--max-kept", min=1, help="End when the run has kept so many.")
    ] = None,
    max_candidates: Annotated[
        int | None, typer.Option("--max-candidates", min=1, help="Let the run generate no more, kept or not.")
    ] = None,
    max_calls: llm.MaxCalls = None,
    max_tokens: llm.MaxTokens = None,
    max_usd: llm.MaxUsd = None,
    max_generations: Annotated[int | None, typer.Option("--max-generations", min=1, help="End after so many.")] = None,
    max_ahead: Annotated[
        str | None,
        typer.Option(
            "--max-ahead",
            help="Wait while more kept rows are not trained yet, or `none`. Default: two training windows of rows.",
        ),
    ] = None,
    max_unanswered: Annotated[
        int | None,
        typer.Option(
            "--max-unanswered",
            min=1,
            help="Wait while more kept rows have no answer yet (answer=kept). Default: 128 with a budget.",
        ),
    ] = None,
    min_yield: Annotated[
        float | None, typer.Option("--min-yield", min=0, max=1, help="End when less of what is generated is kept.")
    ] = None,
    max_tokens_per_kept: Annotated[
        float | None, typer.Option("--max-tokens-per-kept", help="End when a kept row takes more tokens.")
    ] = None,
    yield_window: Annotated[
        int, typer.Option("--yield-window", min=1, help="Generations over which these two are measured.")
    ] = 200,
    batching: llm.Batching,
    backend: llm.Backend = None,
    model: llm.Model = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Calls that transformers answers at once. Default: 8.")
    ] = None,
    load_model_seed: Annotated[
        int | None, typer.Option("--load-model-seed", help="Of the load model's answers.")
    ] = None,
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    per_generation: Annotated[
        int | None,
        typer.Option("--per-generation", min=1, help="Its lines a generation takes. Default: 1, or --candidates."),
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option("--inject", metavar="FAULT=SHARE", help="time_out, rate_limited, server_error, cut, garbled."),
    ] = None,
    metrics_port: MetricsPort = None,
    common: CommonOptions,
) -> None:
    """Generate instructions with the LLM and write each generation to the log, until a limit is reached or Ctrl-C.

    Limits hold for the whole run, over restarts and over several generators; a call is made when its worst case fits.
    Ctrl-C or SIGTERM once completes the calls in flight and ends; twice ends at once. No answered request is asked
    again. It waits while the filter is behind and, where training replaces seeds, while the trainer is; --max-ahead
    none switches that off, for data alone. Calls in flight adapt to the endpoint, up to --in-flight.

    With `--producer goliath` each generation is about a segment of a document: so many candidates are asked for, a
    scorer finds how much likelier each makes the segment, and the filter keeps one at most. It ends when all documents
    are used. These generations do not wait for the trainer.

    With --batch-api requests are asked in batches at the endpoint, which answers within a day; OpenAI takes half the
    price. Ctrl-C then ends at once and leaves them there; the next start takes them up.
    """
    given = {**locals(), **vars(of_documents)}  # every option, by its parameter
    from producers.backends.recorded import RecordedOptions
    from producers.calls.limits import AHEAD_WINDOWS, Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries
    from producers.generate.generator import GenerateOptions, generate
    from producers.generate.stall_guard import StallGuard
    from sedi.output import notify, print_json
    from sedi.reading_progress import counting_progress

    documents.check_producer(producer, given)
    settings = llm.llm_settings(
        common,
        backend=backend,
        recorded=recorded,
        load_model_seed=load_model_seed,
        model=model,
        transformers_batch=batch,
        metrics_port=metrics_port,
    )
    in_use = documents.documents_in_use(given) if producer == "goliath" else None
    answers = None
    if recorded is not None:
        lines = per_generation or (1 if in_use is None else in_use.recorded_lines)
        answers = RecordedOptions(recorded, loop=recorded_loop, per_generation=lines, faults=faults_of(inject or ()))
    most = ("max_kept", "max_candidates", "max_calls", "max_tokens", "max_usd", "max_generations", "max_unanswered")
    ahead = None if max_ahead is None else number_or_none("--max-ahead", max_ahead, int)
    limits = Limits(**{name: given[name] for name in most}, max_ahead=ahead)
    options = GenerateOptions(
        run,
        lane or documents.LANES[producer],
        style=style_in_use(settings, given),
        documents=in_use,
        recorded=answers,
        limits=limits,
        in_flight=in_flight,
        concurrency=concurrency or _concurrency(settings, in_flight),
        batch=llm.batch_options(batching),
        rate=RateOptions(
            start=in_flight_start,
            least=in_flight_least,
            step=in_flight_step,
            rpm=rpm,
            tpm=tpm,
            breaker_failures=breaker_failures,
        ),
        retries=Retries(attempts=attempts, forever=forever),
        guard=StallGuard(min_yield, max_tokens_per_kept, yield_window),
        # What training changes is the seeds: documents need not wait for it.
        ahead_windows=AHEAD_WINDOWS if max_ahead is None and in_use is None else None,
    )

    with counting_progress("generating", "generations") as on_generations:

        def report(event: InstructionsGenerated) -> None:
            made = f"{len(event.instructions)} instructions, {len(event.unparsed)} unparsed parts"
            notify(f"generation {event.number}: {made}")
            on_generations(event.number + 1, max_generations)

        summary = generate(options, settings, on_generation=report, progress=notify)
    if common.as_json:
        print_json(summary)
    else:
        if summary.lost_calls or summary.repeated_calls:
            notify(
                f"Of the run's calls {summary.lost_calls} were lost, perhaps paid for, and {summary.repeated_calls} "
                f"were answered twice, for ${summary.repeated_usd:.4f}"
            )
        notify(f"{summary.generations} generations, {summary.instructions} instructions; ended: {summary.ended}")
        if summary.waited_s:
            notify("Waited " + ", ".join(f"{s:,.0f} s for the {reason}" for reason, s in summary.waited_s.items()))
        if summary.unfinished:
            notify(
                f"{summary.unfinished} generations of the lane are begun and not written. Their answers are on the "
                "log: the next start of this lane, with a larger budget if that ended it, completes them first"
            )


def style_in_use(settings: Settings, given: Mapping[str, Any]) -> StyleInUse:
    """The style of the first producer, by the options, and what they leave to the settings. Raises ConfigurationError.

    given   the values of the options, by parameter; None: not given
    """
    import msgspec

    from producers.backends.base import Sampling
    from producers.generate.style_factory import StyleInUse, default_style
    from schemas.errors import ConfigurationError

    sampling = Sampling(temperature=given["temperature"], top_p=given["top_p"], max_tokens=given["call_max_tokens"])
    named = {name: given[name] for name in ("style", "parser", "total", "asked") if given[name] is not None}
    fields = {
        "style": default_style(settings),
        "safety": given["safety"],
        "sampling": sampling,
        "answer_sampling": replace(sampling, max_tokens=given["answer_max_tokens"]),
        **named,
    }
    try:
        return msgspec.convert(fields, StyleInUse)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{error}. `sedi generate --help` lists the options.") from error


def _concurrency(settings: Settings, in_flight: int | None) -> int | None:
    """Generations in progress, so that calls are in flight while others wait for a retry; None: twice the calls."""
    if settings.backend == "builtin":
        return 4 if in_flight is None else max(4, in_flight // 2)
    if settings.backend == "transformers":
        return in_flight or settings.transformers_batch
    if in_flight is None:
        return None if settings.backend == "openai" else 1
    return 2 * in_flight


def faults_of(pairs: Sequence[str]) -> Faults:
    """The faults named by `FAULT=SHARE` pairs."""
    import msgspec

    from producers.backends.recorded import Faults
    from schemas.errors import ConfigurationError

    try:
        return msgspec.convert(dict(pair.split("=", 1) for pair in pairs), Faults, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"--inject takes FAULT=SHARE, such as rate_limited=0.1: {error}.") from error
