"""`sedi eval refusals`: a judge says which answers of models refuse."""

from __future__ import annotations

from sedi import llm_options as llm
from sedi.commands import command
from sedi.eval import judging as judge_options
from sedi.eval import options as given
from sedi.options import CommonOptions


@command(
    "refusals",
    "sedi eval refusals run:demo --set harmful.jsonl --system llama-2 --judge-model <name> --max-usd 5",
    "sedi eval refusals --run demo --step 300 --set harmful.jsonl --judge-model <name>",
)
def refusals_command(
    *,
    models: given.Models = None,
    set_: given.Sets,
    judge: judge_options.JudgeChoice,
    asked: given.AskedOptions,
    step: given.Step = None,
    budget: llm.Budget,
    sampling: given.AnswerSampling,
    pace: llm.Pace,
    trust_checkpoint: given.TrustCheckpoint = False,
    common: CommonOptions,
) -> None:
    """Have a judge say which answers of models refuse to do what is asked: 1 if one does, 0 if not.

    Answers that are missing are given first, as by `sedi eval answers`; give --system for the same with a system
    prompt. Each reading is an event on the run's log. What was read is not read again, over restarts too. Prompts
    without an answer are counted and not judged; so are readings without a score.

    The judge is the LLM of the settings, or --judge-model. `sedi eval report` shows the shares, beside those by a list
    of phrases.
    """
    from sedi.eval.answering import prepare_answers, show_answers
    from sedi.output import notify, print_json

    calls = llm.call_fields(budget, pace)
    settings = common.cluster()
    sets = given.prompt_sets(set_, notify)
    options = prepare_answers(
        models, sets, asked, sampling, step=step, trust=trust_checkpoint, settings=settings, calls=calls
    )
    summaries, judged = judge_options.answer_and_judge(
        "refusal", options, sets, judge, settings, limit=asked.limit, **calls
    )
    if common.as_json:
        print_json({"answers": summaries, "judged": judged})
        return
    show_answers(summaries)
    if judged is not None:
        notify(judge_options.explain_judged(judged))
