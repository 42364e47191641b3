"""`sedi eval answers`: models answer sets of prompts."""

from __future__ import annotations

import typer

from sedi import llm_options as llm
from sedi.eval import options as given
from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi eval answers builtin run:demo@300 --set vicuna=vicuna.jsonl --set koala.jsonl",
        "sedi eval answers davinci=predictions.jsonl.gz --set self-instruct=user_oriented.jsonl",
        "SEDI_BASE_URL=http://127.0.0.1:8000/v1 sedi eval answers endpoint:my-model --set '*=alpaca_eval.json'",
    )
    group.command("answers", epilog=examples)(answers_command)


def answers_command(
    *,
    models: given.Models = None,
    set_: given.Sets,
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
    recorded: llm.Recorded = None,
    recorded_loop: llm.RecordedLoop = False,
    trust_checkpoint: given.TrustCheckpoint = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Have models answer sets of prompts; each answer is an event on the run's log.

    Prompts that are answered there are not asked again: the command continues after Ctrl-C or a crash, and a larger
    --limit adds to a smaller one. A model that a run trained is asked in the template it was trained in. An endpoint is
    the one of the settings (SEDI_BASE_URL). A file of answers is joined with a set by the text of its prompts.

    Empty answers, those cut off, refused by the endpoint, failed and missing ones are told apart. Limits hold for the
    whole run, its generators' calls included. A run that does not exist is made.
    """
    from producers.backends.recorded import RecordedOptions
    from sedi.eval.answering import AnswerConditions, explain_missing, give_all, prepare_answers, show_answers
    from sedi.output import notify, print_json

    settings = cluster_of(bootstrap_servers, state_dir)
    sets = given.prompt_sets(set_, notify)
    calls = llm.call_fields(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_usd=max_usd,
        forever=forever,
        rpm=rpm,
        tpm=tpm,
        in_flight=in_flight,
    )
    calls["recorded"] = None if recorded is None else RecordedOptions(recorded, loop=recorded_loop)
    asked = AnswerConditions(system, temperature, call_max_tokens, limit)
    options = prepare_answers(
        models, sets, asked, run=run, step=step, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries = give_all(options, settings)
    if as_json:
        print_json(summaries)
    else:
        show_answers(summaries)
    explain_missing(summaries, notify)
