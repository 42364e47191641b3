"""`sedi eval answers`: models answer sets of prompts."""

from __future__ import annotations

from sedi import llm_options as llm
from sedi.commands import command
from sedi.eval import options as given
from sedi.options import CommonOptions


@command(
    "answers",
    "sedi eval answers builtin run:demo@300 --set vicuna=vicuna.jsonl --set koala.jsonl",
    "sedi eval answers davinci=predictions.jsonl.gz --set self-instruct=user_oriented.jsonl",
    "SEDI_BASE_URL=http://127.0.0.1:8000/v1 sedi eval answers endpoint:my-model --set '*=alpaca_eval.json'",
)
def answers_command(
    *,
    models: given.Models = None,
    set_: given.Sets,
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
    """Have models answer sets of prompts; each answer is an event on the run's log.

    Prompts that are answered there are not asked again: the command continues after Ctrl-C or a crash, and a larger
    --limit adds to a smaller one. A model that a run trained is asked in the template it was trained in. An endpoint is
    the one of the settings (SEDI_BASE_URL). A file of answers is joined with a set by the text of its prompts.

    Empty answers, those cut off, refused by the endpoint, failed and missing ones are told apart. Limits hold for the
    whole run, its generators' calls included. A run that does not exist is made.
    """
    from producers.backends.recorded import RecordedOptions
    from sedi.eval.answering import explain_missing, give_all, prepare_answers, show_answers
    from sedi.output import notify, print_result

    settings = common.cluster()
    sets = given.prompt_sets(set_, notify)
    calls = llm.call_fields(budget, pace)
    calls["recorded"] = None if recorded is None else RecordedOptions(recorded, loop=recorded_loop)
    options = prepare_answers(
        models, sets, asked, sampling, step=step, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries = give_all(options, settings)
    print_result(summaries, show_answers, as_json=common.as_json)
    explain_missing(summaries, notify)
