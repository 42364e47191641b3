"""`sedi eval compare`: a judge compares the answers of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from sedi import llm_options as llm
from sedi.eval import judging as judge_options
from sedi.eval import options as given
from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from consumers.evaluation.results import ComparisonScore
    from infra.settings import Settings
    from producers.evaluation.answers import AnswerSummary


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi eval compare run:demo builtin --set vicuna=vicuna.jsonl --judge-model <name> --max-usd 5",
        "sedi eval compare a.jsonl b.jsonl c.jsonl --set '*=alpaca_eval.json' --judge-model <name>",
    )
    group.command("compare", epilog=examples)(compare_command)


def compare_command(
    *,
    models: given.Models = None,
    set_: given.Sets,
    judge_model: judge_options.JudgeModel = None,
    judge_backend: judge_options.JudgeBackend = None,
    judge_max_tokens: judge_options.JudgeTokens = None,
    recorded: judge_options.JudgeRecorded = None,
    recorded_loop: llm.RecordedLoop = False,
    attempts: judge_options.Attempts = 2,
    system: given.System = "",
    limit: given.Limit = None,
    run: Run = DEFAULT_RUN,
    max_usd: llm.MaxUsd = None,
    max_calls: llm.MaxCalls = None,
    max_tokens: llm.MaxTokens = None,
    call_max_tokens: given.AnswerTokens = None,
    temperature: given.Temperature = None,
    in_flight: llm.InFlight = None,
    rpm: llm.Rpm = None,
    tpm: llm.Tpm = None,
    forever: llm.Forever = False,
    trust_checkpoint: given.TrustCheckpoint = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
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
    from sedi.eval.answering import AnswerConditions, prepare_answers, show_answers
    from sedi.output import notify, print_json

    if len(models or ()) < 2:
        raise ConfigurationError("Two models or more are compared. Give each as a MODEL, such as run:demo and builtin.")
    judge = judge_options.JudgeChoice(judge_model, judge_backend, recorded, recorded_loop, attempts, judge_max_tokens)
    calls = llm.call_fields(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_usd=max_usd,
        forever=forever,
        rpm=rpm,
        tpm=tpm,
        in_flight=in_flight,
    )
    settings = cluster_of(bootstrap_servers, state_dir)
    sets = given.prompt_sets(set_, notify)
    asked = AnswerConditions(system, temperature, call_max_tokens, limit)
    options = prepare_answers(
        models, sets, asked, run=run, step=None, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries, judged = judge_options.answer_and_judge("pair", options, sets, judge, settings, limit=limit, **calls)
    scores = [] if judged is None else _comparisons(settings, run, judged.judge, summaries)
    if as_json:
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
    from sedi.reading_progress import reading_progress

    models, sets = {each.model for each in summaries}, {each.set for each in summaries} | {ALL}
    with reading_progress("comparing") as on_records:
        found = comparisons_of(judged_pairs(KafkaSource(settings, run), on_records))
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
