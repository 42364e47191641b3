"""Has models answer sets of prompts, one after the other, and shows what became of the prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.evaluation.answers import AnswerOptions, AnswerSummary
    from producers.evaluation.prompt_sets import PromptSet
    from sedi.eval.options import AnswerSampling, AskedOptions

_OUTCOMES = ("answered", "empty", "cut", "refused", "failed")


def prepare_answers(
    models: Sequence[str] | None,
    sets: Sequence[PromptSet],
    asked: AskedOptions,
    sampling: AnswerSampling,
    *,
    step: int | None,
    trust: bool,
    settings: Settings,
    calls: Mapping[str, Any],
) -> list[AnswerOptions]:
    """What each model that the words name is asked, set after set. Makes the run unless it is there.

    calls   fields of `CallOptions`

    Raises what `model_sources` and `ensure_run` raise, ConfigurationError for options that cannot be.
    """
    from producers.backends.base import Sampling
    from producers.evaluation.answering import system_prompt
    from producers.evaluation.answers import AnswerOptions
    from sedi.ensure_run import ensure_run
    from sedi.eval.options import model_sources
    from sedi.output import notify

    sources = model_sources(models, run=asked.run, step=step, settings=settings, say=notify, trust=trust)
    options = [
        AnswerOptions(
            run=asked.run,
            model=source.model,
            prompts=prompts,
            folder=source.folder,
            template=source.template,
            answers=source.answers,
            system=system_prompt(asked.system),
            sampling=Sampling(temperature=sampling.temperature, max_tokens=sampling.call_max_tokens),
            limit=asked.limit,
            **calls,
        )
        for source in sources
        for prompts in sets
    ]
    ensure_run(settings, asked.run, notify)
    return options


def give_all(options: Iterable[AnswerOptions], settings: Settings) -> list[AnswerSummary]:
    """Have each model answer each set; ends with the first one that is not answered completely.

    A model on this machine stays loaded while options in a row name it. Raises what `give_answers` raises.
    """
    from producers.evaluation.answers import give_answers
    from producers.evaluation.local_models import LocalModels
    from sedi.output import notify
    from sedi.reading_progress import counting_progress

    summaries: list[AnswerSummary] = []
    with LocalModels() as models:
        for each in options:
            with counting_progress(f"{each.model.name} on {each.prompts.name}", "answers") as on_done:
                summary = give_answers(each, settings, models=models, on_done=on_done, notify=notify)
            summaries.append(summary)
            if not summary.complete:
                break
    return summaries


def show_answers(summaries: Sequence[AnswerSummary]) -> None:
    """A table of the outcomes."""
    from sedi.output import console, table

    columns = ("model", "set", "#prompts", *(f"#{outcome}" for outcome in _OUTCOMES), "#missing", "#calls")
    rows = (
        (
            each.model,
            each.set,
            each.prompts,
            *(each.outcomes.get(outcome, 0) for outcome in _OUTCOMES),
            each.missing,
            each.calls,
        )
        for each in summaries
    )
    console().print(table("Answers", columns, rows))


def explain_missing(summaries: Sequence[AnswerSummary], say: Callable[[str], None]) -> bool:
    """Say what is left, and why; returns whether all prompts were asked."""
    for each in summaries:
        if each.complete and each.missing:
            say(f"{each.model} on {each.set}: the file has no answer to {each.missing} prompts.")
    last = summaries[-1]
    if not last.complete:
        say(f"{last.model} on {last.set}: {last.missing} prompts are not answered; ended: {last.ended}.")
        say("Start the same command again to go on from there.")
    return last.complete
