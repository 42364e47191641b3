"""`sedi answer`: an LLM answers the kept instructions of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi import llm_options as llm
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, MetricsPort, Run

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.answer.rows import ClusterShare
    from producers.generate.style_factory import StyleInUse
    from schemas.events import InstructionAnswered


@command(
    "answer",
    "sedi configure --run cheap --set answer=kept",
    "sedi answer --run cheap --in-flight 32",
    "sedi answer --run cheap --until-end --max-usd 5",
    "sedi answer --run cheap --share 2/4",
    "sedi answer --run cheap --batch-api --until-end",
)
def answer_command(
    *,
    run: Run = DEFAULT_RUN,
    style: Annotated[str | None, typer.Option("--style", help="`two-step` (default) or `self-instruct`.")] = None,
    share: Annotated[
        str | None, typer.Option("--share", metavar="K/N", help="Only every N-th cluster, from the K-th on: 2/4.")
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End when the rows there are now are answered.")
    ] = False,
    safety: Annotated[bool, typer.Option("--safety", help="Add the safety system prompt.")] = False,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, help="Default: the style's.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", min=0, max=1, help="Default: the style's.")] = None,
    answer_max_tokens: Annotated[
        int | None, typer.Option("--answer-max-tokens", min=1, help="Of one answer. Default: the style's.")
    ] = None,
    budget: llm.Budget,
    pace: llm.Pace,
    batching: llm.Batching,
    model: llm.Model = None,
    backend: llm.Backend = None,
    load_model_seed: Annotated[
        int | None, typer.Option("--load-model-seed", help="Of the load model's answers.")
    ] = None,
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    metrics_port: MetricsPort = None,
    common: CommonOptions,
) -> None:
    """Ask the LLM for the input and output of each kept instruction, in a run made with `answer=kept`. Ends with
    Ctrl-C, a limit or --until-end.

    Rows are answered in the order they were kept, and are then trained and exported. One whose answer fails for good,
    is cut off or breaks a rule is left out, with its reason. Limits hold for the whole run, its generators' calls
    included. No row is answered twice and no answer is paid for twice, over restarts too. Several answerers share a run
    by its clusters, each with its own --share.
    """
    given = dict(locals())  # every option, by its parameter
    from producers.answer.answerer import AnswererOptions, answer
    from producers.backends.recorded import RecordedOptions
    from sedi.output import notify, print_json
    from sedi.reading_progress import counting_progress

    settings = llm.llm_settings(
        common,
        backend=backend,
        recorded=recorded,
        model=model,
        load_model_seed=load_model_seed,
        metrics_port=metrics_port,
    )
    options = AnswererOptions(
        run=run,
        style=answer_style_in_use(settings, given),
        share=share_of(share),
        until_end=until_end,
        recorded=None if recorded is None else RecordedOptions(recorded, loop=recorded_loop),
        **llm.call_fields(budget, pace, batching),
    )
    unused: list[InstructionAnswered] = []

    def report(event: InstructionAnswered) -> None:
        if event.reason is not None and not unused:
            unused.append(event)
            notify(f"Row {event.row.id} is not used: {event.reason}. Further ones are only counted.")

    with counting_progress("answering", "rows") as on_rows:
        summary = answer(options, settings, on_answered=report, on_rows=on_rows, progress=notify)
    if common.as_json:
        print_json(summary)
        return
    left_out = sum(summary.unused.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.unused.items()))
    notify(
        f"{summary.answered} rows answered, {left_out} of them not used{f' ({reasons})' if reasons else ''}; "
        f"ended: {summary.ended}"
    )


def answer_style_in_use(settings: Settings, given: Mapping[str, Any]) -> StyleInUse:
    """The style that the options name, and what they leave to the settings. Raises ConfigurationError.

    given   the values of the options, by parameter; None: not given
    """
    import msgspec

    from producers.backends.base import Sampling
    from producers.generate.style_factory import StyleInUse
    from schemas.errors import ConfigurationError

    sampling = Sampling(temperature=given["temperature"], top_p=given["top_p"], max_tokens=given["answer_max_tokens"])
    fields = {"style": given["style"] or "two-step", "safety": given["safety"], "answer_sampling": sampling}
    try:
        return msgspec.convert(fields, StyleInUse)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{error}. `sedi answer --help` lists the options.") from error


def share_of(text: str | None) -> ClusterShare:
    from producers.answer.rows import ClusterShare
    from schemas.errors import ConfigurationError

    if text is None:
        return ClusterShare()
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise ConfigurationError(f"--share is {text!r}; it takes K/N, such as 2/4.")
    return ClusterShare(int(number), int(of))
