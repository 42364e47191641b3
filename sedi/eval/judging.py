"""What `sedi eval compare` and `sedi eval refusals` share: models answer first, then a judge reads the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.errors import ConfigurationError
from sedi.llm_options import RecordedLoop

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.evaluation.answers import AnswerOptions, AnswerSummary
    from producers.evaluation.judging import JudgingSummary
    from producers.evaluation.prompt_sets import PromptSet
    from producers.prompts.pair import AnswerRubricName

JudgeModel = Annotated[
    str | None,
    typer.Option("--judge-model", help="At the endpoint; for the backend transformers a folder or hub name."),
]
JudgeBackend = Annotated[
    str | None, typer.Option("--judge-backend", help="`openai`, `builtin`, `transformers`, `recorded`, `load-model`.")
]


@dataclass(frozen=True, kw_only=True)
class JudgeChoice:
    """The judge that the flags name: a group (`sedi.commands`)."""

    judge_model: JudgeModel = None
    judge_backend: JudgeBackend = None
    judge_max_tokens: Annotated[
        int | None, typer.Option("--judge-max-tokens", min=1, help="Of one answer of the judge; the default is 512.")
    ] = None
    recorded: Annotated[
        Path | None, typer.Option("--recorded", help="JSON Lines of the judge's answers, for `recorded`.")
    ] = None
    recorded_loop: RecordedLoop = False
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Times a reading is asked for, at most; its lines of --recorded.")
    ] = 2

    def settings(self, settings: Settings) -> Settings:
        """The settings with this judge as the LLM; a model that is named is at an endpoint unless a backend is."""
        backend = "recorded" if self.recorded else self.judge_backend
        if backend is None and self.judge_model is not None and settings.backend == "builtin":
            backend = "openai"
        from infra.settings import load

        flags = {"backend": backend, "model": self.judge_model}
        changed = {name: value for name, value in flags.items() if value is not None}
        return load(**{name: getattr(settings, name) for name in settings.model_fields_set} | changed)


def answer_and_judge(
    rubric: AnswerRubricName,
    options: Sequence[AnswerOptions],
    sets: Sequence[PromptSet],
    judge: JudgeChoice,
    settings: Settings,
    *,
    limit: int | None,
    **calls: Any,
) -> tuple[list[AnswerSummary], JudgingSummary | None]:
    """Give the answers that are missing, then have all of them judged; None: not all prompts could be asked.

    Raises what `give_answers` and `judge_answers` raise.
    """
    from producers.backends.base import Sampling
    from producers.backends.choice import asks_builtin
    from producers.backends.recorded import RecordedOptions
    from producers.evaluation.judgement_items import AnswersOf, JudgedSet
    from producers.evaluation.judging import JudgingOptions, judge_answers
    from sedi.eval.answering import explain_missing, give_all
    from sedi.output import notify
    from sedi.reading_progress import counting_progress

    judges = judge.settings(settings)
    if (judges.backend == "recorded") != (judge.recorded is not None):
        raise ConfigurationError("Recorded judgements need --recorded FILE and no other --judge-backend.")
    if asks_builtin(judges):
        notify("The judge is the built-in model, which is too small for its scores to mean much: see --judge-model.")
    summaries = give_all(options, settings)
    if not explain_missing(summaries, notify):
        return summaries, None
    judging = JudgingOptions(
        run=options[0].run,
        rubric=rubric,
        sets=tuple(
            JudgedSet(
                prompts,
                tuple(AnswersOf(each.model, each.asked) for each in summaries if each.set == prompts.name),
                limit,
            )
            for prompts in sets
        ),
        attempts=judge.attempts,
        sampling=Sampling(max_tokens=judge.judge_max_tokens),
        recorded=None
        if judge.recorded is None
        else RecordedOptions(judge.recorded, loop=judge.recorded_loop, per_generation=judge.attempts),
        **calls,
    )
    with counting_progress("judging", "readings") as on_done:
        judged = judge_answers(judging, judges, on_done=on_done, notify=notify)
    return summaries, judged


def explain_judged(judged: JudgingSummary) -> str:
    """What the judge did, as a sentence for people."""
    more = " Start the same command again to go on from there." if judged.unfinished else ""
    return (
        f"{judged.read} of {judged.readings} readings have scores by {judged.judge}; {judged.unread} could not be "
        f"read, {judged.unanswered} were not asked for because an answer is missing, {judged.unfinished} are still to "
        f"be made; {judged.written} are new, with {judged.calls} calls; ended: {judged.ended}.{more}"
    )
