"""`sedi eval generation`: models' answers compared with references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi import llm_options as llm
from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from consumers.evaluation.results import GenerationScore, Interval
    from infra.settings import Settings
    from producers.evaluation.answers import AnswerOptions, AnswerSummary


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi eval generation builtin run:demo --task superni=./tasks --shots 2 --per-task 10",
        "sedi eval generation --run demo --step 300 --task longform=test.jsonl --task user-oriented=252.jsonl",
    )
    group.command("generation", epilog=examples)(generation)


def generation(
    *,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="A folder, a hub name, `builtin`, run:NAME[@STEP], endpoint:MODEL or a file of answers; NAME=MODEL "
            "names it. Default: the run's own model.",
        ),
    ] = None,
    task: Annotated[
        list[str],
        typer.Option(
            "--task", help="`superni=FOLDER`, `longform=FILE`, or NAME=FILE of rows with outputs. Repeatable."
        ),
    ],
    shots: Annotated[int, typer.Option("--shots", min=0, max=2, help="Solved examples before each SuperNI input.")] = 0,
    per_task: Annotated[
        int | None, typer.Option("--per-task", min=1, help="Instances of each SuperNI task, at most.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first prompts of any other set.")
    ] = None,
    system: Annotated[str, typer.Option("--system", help="System prompt; `llama-2` for its safety prompt.")] = "",
    run: Run = DEFAULT_RUN,
    step: Annotated[
        int | None, typer.Option("--step", min=1, help="Without MODEL: the run's checkpoint there.")
    ] = None,
    max_usd: llm.MaxUsd = None,
    max_calls: llm.MaxCalls = None,
    max_tokens: llm.MaxTokens = None,
    call_max_tokens: Annotated[
        int | None, typer.Option("--call-max-tokens", min=1, help="Of one answer; the default is 512.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, help="Default: 0, the likeliest word each time.")
    ] = None,
    in_flight: llm.InFlight = None,
    rpm: llm.Rpm = None,
    tpm: llm.Tpm = None,
    forever: llm.Forever = False,
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load a checkpoint of another installation: it may run code.")
    ] = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Have models answer sets with references, and compare: ROUGE-L as for Super-NaturalInstructions, and METEOR.

    Each answer is an event on the run's log. Prompts that are answered there are not asked again: the command continues
    after Ctrl-C or a crash. An empty or refused answer scores 0, an answer that was cut off is scored as far as it
    goes, one whose call failed is not scored; all are counted. Intervals of 95 % are bootstrapped over prompts.

    A folder of Super-NaturalInstructions holds task files (task*.json, task*.json.gz). LongForm rows have `input` and
    `output`. Any other set has instructions with outputs, like the files of `sedi train --data`.
    """
    from consumers.evaluation.generation import generation_scores
    from infra.log.source import KafkaSource
    from producers.backends.base import Sampling
    from producers.backends.recorded import RecordedOptions
    from producers.calls.limits import Limits
    from producers.calls.rate_control import RateOptions
    from producers.calls.retries import Retries
    from producers.evaluation.answering import system_prompt
    from producers.evaluation.answers import AnswerOptions
    from producers.evaluation.superni import NAME as SUPERNI
    from schemas.errors import ConfigurationError
    from sedi.eval.generation_sets import generation_set
    from sedi.eval.model_source import model_source
    from sedi.output import notify, print_json
    from sedi.reading_progress import reading_progress

    if models and step is not None:
        raise ConfigurationError("--step is for the run's own model: write run:NAME@STEP, or leave the MODEL out.")
    settings = cluster_of(bootstrap_servers, state_dir)
    sets = [generation_set(each, shots=shots, per_task=per_task, say=notify) for each in task]
    own = f"run:{run}" if step is None else f"run:{run}@{step}"
    sources = [model_source(each, settings, notify, trust=trust_checkpoint) for each in models or (own,)]
    options = [
        AnswerOptions(
            run=run,
            model=source.model,
            prompts=prompts,
            folder=source.folder,
            template=source.template,
            answers=source.answers,
            system=system_prompt(system),
            sampling=Sampling(temperature=temperature, max_tokens=call_max_tokens),
            recorded=None if recorded is None else RecordedOptions(recorded, loop=recorded_loop),
            limits=Limits(max_calls=max_calls, max_tokens=max_tokens, max_usd=max_usd),
            retries=Retries(forever=forever),
            rate=RateOptions(rpm=rpm, tpm=tpm),
            in_flight=in_flight,
            limit=None if prompts.name == SUPERNI else limit,
        )
        for source in sources
        for prompts in sets
    ]
    summaries = _answered(options, settings)
    asked = {(summary.model, summary.asked) for summary in summaries}
    with reading_progress("comparing answers with references") as on_records:
        found = generation_scores(KafkaSource(settings, run), on_records)
    scores = [score for score in found if (score.model, score.asked) in asked]
    if as_json:
        print_json({"answers": summaries, "scores": scores})
    else:
        _show(scores)
    last = summaries[-1]
    if not last.complete:
        notify(f"{last.model} on {last.set}: {last.missing} prompts are not answered; ended: {last.ended}.")
        notify("Start the same command again to go on from there.")


def _answered(options: Sequence[AnswerOptions], settings: Settings) -> list[AnswerSummary]:
    """Have each model answer each set; ends with the first one that is not answered completely."""
    from producers.evaluation.answers import give_answers
    from producers.evaluation.local_models import LocalModels
    from sedi.output import notify
    from sedi.reading_progress import counting_progress

    summaries: list[AnswerSummary] = []
    with LocalModels() as loaded:
        for each in options:
            with counting_progress(f"{each.model.name} on {each.prompts.name}", "answers") as on_answers:
                summary = give_answers(each, settings, models=loaded, on_done=on_answers, notify=notify)
            summaries.append(summary)
            if not summary.complete:
                break
            if summary.missing:
                notify(f"{summary.model} on {summary.set}: the file has no answer to {summary.missing} prompts.")
    return summaries


def _show(scores: Sequence[GenerationScore]) -> None:
    from sedi.output import console

    if not scores:
        console().print("There is nothing to compare: no prompt that was asked has a reference.")
        return
    for table in _tables(scores):
        console().print(table)
    matching = ", ".join(sorted({score.meteor_matching for score in scores}))
    console().print(f"In percent, with intervals of 95 %. METEOR matches words: {matching}.")


def _tables(scores: Sequence[GenerationScore]) -> Iterator[Table]:
    from sedi.output import table

    columns = ("model", "set", "#shots", "#scored", "#ROUGE-L", "#METEOR", "#no reference", "answers")
    rows = (
        (
            score.model,
            score.set,
            score.shots,
            score.scored,
            _interval(score.rouge_l),
            _interval(score.meteor),
            score.without_reference,
            ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(score.outcomes.items())),
        )
        for score in scores
    )
    yield table("Answers compared with references", columns, rows)
    for score in scores:
        if len(score.by_group) > 1:
            groups = ((name, of, f"{100 * value:.1f}") for name, (of, value) in score.by_group.items())
            title = f"{score.model} on {score.set}, {score.shots} shots, by category"
            yield table(title, ("category", "#prompts", "#ROUGE-L"), groups)


def _interval(found: Interval | None) -> str | None:
    return None if found is None else f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"
