"""`sedi eval compare`: a judge compares the answers of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sedi import llm_options as llm
from sedi.commands import command
from sedi.eval import judging as judge_options
from sedi.eval import options as given
from sedi.options import CommonOptions

if TYPE_CHECKING:
    from consumers.evaluation.results import ComparisonScore
    from infra.settings import Settings
    from producers.evaluation.answers import AnswerSummary


@command(
    "compare",
    "sedi eval compare run:demo builtin --set vicuna=vicuna.jsonl --judge-model <name> --max-usd 5",
    "sedi eval compare a.jsonl b.jsonl c.jsonl --set '*=alpaca_eval.json' --judge-model <name>",
)
def compare_command(
    *,
    models: given.Models = None,
    set_: given.Sets,
    judge: judge_options.JudgeChoice,
    asked: given.AskedOptions,
    budget: llm.Budget,
    sampling: given.AnswerSampling,
    pace: llm.Pace,
    trust_checkpoint: given.TrustCheckpoint = False,
    common: CommonOptions,
) -> None:
    """Have a judge compare the answers of two models or more: each pair, each prompt, in both orders.

    Answers that are missing are given first, as by `sedi eval answers`. Then the judge scores both answers from 1 to
    10; each reading is an event on the run's log. What was read is not read again, and no answer is paid for twice,
    over restarts too. Prompts that a model gave no answer to are counted and not judged. A reading without scores is
    counted too.

    The judge is the LLM of the settings, or --judge-model. A model and a judge at different endpoints: give the answers
    first, with `sedi eval answers` and the settings of its endpoint. Shown is who won; `sedi eval report` shows more.
    """
    from schemas.errors import ConfigurationError
    from sedi.eval.answering import prepare_answers, show_answers
    from sedi.output import notify, print_json

    if len(models or ()) < 2:
        raise ConfigurationError("Two models or more are compared. Give each as a MODEL, such as run:demo and builtin.")
    calls = llm.call_fields(budget, pace)
    settings = common.cluster()
    sets = given.prompt_sets(set_, notify)
    options = prepare_answers(
        models, sets, asked, sampling, step=None, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries, judged = judge_options.answer_and_judge(
        "pair", options, sets, judge, settings, limit=asked.limit, **calls
    )
    scores = [] if judged is None else _comparisons(settings, asked.run, judged.judge, summaries)
    if common.as_json:
        print_json({"answers": summaries, "judged": judged, "comparisons": scores})
        return
    show_answers(summaries)
    if judged is not None:
        notify(judge_options.explain_judged(judged))
        _show(scores)


def _comparisons(settings: Settings, run: str, judge: str, summaries: Sequence[AnswerSummary]) -> list[ComparisonScore]:
    """What this judge's readings of these models come to: on each of these sets, and on all sets on the log."""
    from consumers.evaluation.comparisons import comparisons_of
    from consumers.evaluation.judged_pairs import ALL, judged_pairs
    from infra.log.source import KafkaSource
    from sedi.reading_progress import log_progress

    models, sets = {each.model for each in summaries}, {each.set for each in summaries} | {ALL}
    with log_progress("Reading the judgements"):
        found = comparisons_of(judged_pairs(KafkaSource(settings, run)))
    return [
        score for score in found if score.judge == judge and {score.first, score.second} <= models and score.set in sets
    ]


def _show(scores: Sequence[ComparisonScore]) -> None:
    from consumers.evaluation.cells import number_interval
    from sedi.output import console, table

    columns = ("first", "second", "set", "#prompts", "#scored", "#win", "#tie", "#lose", "#win rate")
    rows = (
        (
            score.first,
            score.second,
            score.set,
            score.prompts,
            score.scored,
            score.win,
            score.tie,
            score.lose,
            None if score.win_rate is None else number_interval(score.win_rate),
        )
        for score in scores
    )
    console().print(table("Prompts won, tied and lost by the first model", columns, rows))
