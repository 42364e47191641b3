"""`sedi eval refusals`: a judge says which answers of models refuse."""

from __future__ import annotations

import typer

from sedi import llm_options as llm
from sedi.eval import judging as judge_options
from sedi.eval import options as given
from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi eval refusals run:demo --set harmful.jsonl --system llama-2 --judge-model <name> --max-usd 5",
        "sedi eval refusals --run demo --step 300 --set harmful.jsonl --judge-model <name>",
    )
    group.command("refusals", epilog=examples)(refusals_command)


def refusals_command(
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
    step: given.Step = None,
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
    """Have a judge say which answers of models refuse to do what is asked: 1 if one does, 0 if not.

    Answers that are missing are given first, as by `sedi eval answers`; give --system for the same with a system
    prompt. Each reading is an event on the run's log. What was read is not read again, over restarts too. Prompts
    without an answer are counted and not judged; so are readings without a score.

    The judge is the LLM of the settings, or --judge-model. `sedi eval report` shows the shares, beside those by a list
    of phrases.
    """
    from sedi.eval.answering import AnswerConditions, prepare_answers, show_answers
    from sedi.output import notify, print_json

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
        models, sets, asked, run=run, step=step, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries, judged = judge_options.answer_and_judge("refusal", options, sets, judge, settings, limit=limit, **calls)
    if as_json:
        print_json({"answers": summaries, "judged": judged})
        return
    show_answers(summaries)
    if judged is not None:
        notify(judge_options.explain_judged(judged))
