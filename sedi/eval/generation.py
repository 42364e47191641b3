"""`sedi eval generation`: models' answers compared with references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi import llm_options as llm
from sedi.commands import command
from sedi.eval import options as given
from sedi.options import CommonOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from consumers.evaluation.results import GenerationScore, Interval


@command(
    "generation",
    "sedi eval generation builtin run:demo --task superni=./tasks --shots 2 --per-task 10",
    "sedi eval generation --run demo --step 300 --task longform=test.jsonl --task user-oriented=252.jsonl",
)
def generation(
    *,
    models: given.Models = None,
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
    asked: given.AskedOptions,
    step: given.Step = None,
    budget: llm.Budget,
    sampling: given.AnswerSampling,
    pace: llm.Pace,
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    trust_checkpoint: given.TrustCheckpoint = False,
    common: CommonOptions,
) -> None:
    """Have models answer sets with references, and compare: ROUGE-L as for Super-NaturalInstructions, and METEOR.

    Each answer is an event on the run's log. Prompts that are answered there are not asked again: the command continues
    after Ctrl-C or a crash. An empty or refused answer scores 0, an answer that was cut off is scored as far as it
    goes, one whose call failed is not scored; all are counted. Intervals of 95 % are bootstrapped over prompts.

    Limits hold for the whole run, its generators' calls included. A run that does not exist is made.

    A folder of Super-NaturalInstructions holds task files (task*.json, task*.json.gz). LongForm rows have `input` and
    `output`. Any other set has instructions with outputs, like the files of `sedi train --data`.
    """
    from consumers.evaluation.generation import generation_scores
    from infra.log.source import KafkaSource
    from producers.backends.recorded import RecordedOptions
    from sedi.eval.answering import explain_missing, give_all, prepare_answers
    from sedi.eval.generation_sets import generation_sets
    from sedi.output import notify, print_json
    from sedi.reading_progress import log_progress

    settings = common.cluster()
    sets = generation_sets(task, shots=shots, per_task=per_task, say=notify)
    calls = llm.call_fields(budget, pace)
    calls["recorded"] = None if recorded is None else RecordedOptions(recorded, loop=recorded_loop)
    options = prepare_answers(
        models, sets, asked, sampling, step=step, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries = give_all(options, settings)
    keys = {(summary.model, summary.asked) for summary in summaries}
    with log_progress("Comparing answers with references"):
        found = generation_scores(KafkaSource(settings, asked.run))
    scores = [score for score in found if (score.model, score.asked) in keys]
    if common.as_json:
        print_json({"answers": summaries, "scores": scores})
    else:
        _show(scores)
    explain_missing(summaries, notify)


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
    from consumers.evaluation.cells import interval_in_percent

    return None if found is None else interval_in_percent(found)
