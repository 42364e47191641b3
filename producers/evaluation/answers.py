"""One model answers one set of prompts, each answer an event on `answers`.

Its calls are on the ledger before they are made (`producers.calls.ordered_work`), in a lane of their own, with the
prompt's place in the set as number. So answers that were given are never asked for again, and recorded answers are the
same after any kill. The answers of a file need no calls (`producers.evaluation.answer_files`).

A prompt that gets no answer has an event all the same, with the reason: the endpoint refused it, or its call failed for
good.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.models.templates import Template
from infra.settings import Settings
from producers.backends.base import Backend, Sampling
from producers.backends.choice import opened_backend
from producers.calls.caller import Caller, CallOptions
from producers.calls.found_concurrency import rate_control_for
from producers.calls.ordered_progress import OrderedReader
from producers.calls.ordered_work import OrderedWork, work_off
from producers.calls.refusals import Refusals
from producers.calls.spending_check import check_spending
from producers.evaluation.answer_files import AnswerFile
from producers.evaluation.answer_items import AnswerItem
from producers.evaluation.answering import GREEDY, template_of
from producers.evaluation.item_list import ItemList
from producers.evaluation.local_models import LocalModels
from producers.evaluation.progress import CLIENT, EvaluationProgress, evaluation_reader
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from producers.prompts.sampling import overlaid
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.evaluation import Asked, EvaluatedModel
from streams.core.evaluation.given import read_text_of_file
from streams.core.evaluation.lanes import evaluation_lane

OnDone = Callable[[int, int], None]
"""Called with the number of items that are done, and of all."""

LARGEST_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer, at most: its event holds it twice, raw and read, beside the prompt."""

_WRITTEN_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(CallOptions):
    """Which model answers what.

    folder     of its weights; None at an endpoint and for a file of answers
    template   that it was trained with; None: not known
    answers    a file of its answers
    system     the system prompt; empty: none
    sampling   parameters that differ from `GREEDY`
    limit      only the first prompts of the set
    """

    run: str
    model: EvaluatedModel
    prompts: PromptSet
    folder: Path | None = None
    template: Template | None = None
    answers: Path | None = None
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    limit: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError(f"limit is {self.limit}; it must be 1 or more.")

    @property
    def asked_prompts(self) -> tuple[EvaluationPrompt, ...]:
        return self.prompts.prompts[: self.limit]


@dataclass(frozen=True)
class AnswerSummary:
    """The answers of a model to a set, and what this process did for them.

    asked         key of the conditions
    prompts       asked, or looked for in a file
    outcomes      what became of them so far, by `AnswerOutcome`
    missing       prompts without an event: the file has no answer to them, or they are still to be asked
    written       answers written by this process; `calls`: attempts started by it
    ended         why it ended
    complete      there is nothing left to ask
    run_cost_usd  cost of the run's answers so far, of all its programs; None if one is not known
    """

    model: str
    set: str
    asked: str
    prompts: int
    outcomes: dict[str, int]
    missing: int
    written: int
    calls: int
    ended: str
    complete: bool
    run_cost_usd: float | None


def give_answers(
    options: AnswerOptions,
    settings: Settings,
    *,
    models: LocalModels | None = None,
    on_done: OnDone = lambda done, of: None,
    notify: Callable[[str], None] = lambda _: None,
) -> AnswerSummary:
    """Have the model answer the set, and write each answer to the run's log. Returns at once what is answered already.

    models   keeps the model of a folder loaded for a next set; its owner closes it

    On SIGTERM or SIGINT the calls in flight end, complete answers are written, and it returns; on a second one it
    returns at once. Signals are handled only in the main thread.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist or another process gives
    the same answers, ConfigurationError for unusable options, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, options.run)
    check_spending(options.limits, configured.policy, settings, notify)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were evaluations
    asked = conditions(options, settings)
    cause, refusals, sampling = ids.run_id(options.run), Refusals(most_flagged=None), overlaid(GREEDY, options.sampling)
    items = tuple(
        AnswerItem(
            id=ids.answer_id(options.model.key, asked.key, prompt.id),
            causation_id=cause,
            number=number,
            prompt=prompt,
            asked=asked,
            model=options.model,
            sampling=sampling,
            refusals=refusals,
        )
        for number, prompt in enumerate(options.asked_prompts)
    )
    lane = evaluation_lane("answers", (options.model.key, asked.key))
    wanted = frozenset(item.id for item in items)
    with evaluation_reader(settings, configured, lane, "answers", wanted) as reader:
        if options.answers is not None:
            return _imported(options, settings, asked, items, reader)
        if wanted <= reader.progress.done:
            return _summary(options, asked, reader.progress)
        # only what is not on the log is asked for
        of_model = _settings_of(options, settings)
        rate = rate_control_for(of_model, options.rate, options.in_flight, notify)
        with ExitStack() as stack:
            if options.folder is not None and options.recorded is None:
                kept = models or stack.enter_context(LocalModels())
                backend: Backend = kept.backend(options.folder, options.model.name, options.template, of_model, notify)
            else:
                backend = stack.enter_context(opened_backend(of_model, options.recorded, rate.most, notify))
            writer = stack.enter_context(LogWriter(settings, options.run, CLIENT))
            caller = Caller.of(
                options, settings, backend=backend, writer=writer, reader=reader, rate=rate, most_bytes=LARGEST_ANSWER
            )
            queue = ItemList(items, reader.progress.done, on_done)
            work = OrderedWork(queue, caller, reader.progress, in_flight=rate.most, on_written=queue.written)
            known = work_off(work, backend, of_model, rate, reader)
            return _summary(options, asked, known, work.written, caller)


def conditions(options: AnswerOptions, settings: Settings) -> Asked:
    """The conditions that the answers are given under. Raises ConfigurationError for an unusable tokenizer."""
    prompts = options.prompts
    if options.answers is not None:
        return Asked(prompts=prompts.name, sha256=prompts.sha256, shots=prompts.shots)
    template: Template | None = "alpaca" if settings.api == "completion" else None
    if options.folder is not None:
        template = template_of(options.folder, options.template)
    return Asked(
        prompts=prompts.name,
        sha256=prompts.sha256,
        system=options.system,
        shots=prompts.shots,
        template=template,
        parameters=overlaid(GREEDY, options.sampling).given(),
    )


def _settings_of(options: AnswerOptions, settings: Settings) -> Settings:
    """The settings with the backend of this model."""
    if options.recorded is not None:
        return settings.model_copy(update={"backend": "recorded"})
    if options.folder is not None:
        api = "chat" if settings.api == "structured" else settings.api
        return settings.model_copy(update={"backend": "transformers", "api": api})
    backend = settings.backend if settings.backend in ("openai", "load-model") else "openai"
    return settings.model_copy(update={"backend": backend, "model": options.model.source})


def _imported(
    options: AnswerOptions,
    settings: Settings,
    asked: Asked,
    items: tuple[AnswerItem, ...],
    reader: OrderedReader[EvaluationProgress],
) -> AnswerSummary:
    """Write the answers of a file that are not on the log."""
    assert options.answers is not None
    texts = AnswerFile(options.answers).answers(options.asked_prompts)
    done = reader.progress.done
    fresh = [(item, text) for item, text in zip(items, texts, strict=True) if text is not None and item.id not in done]
    with LogWriter(settings, options.run, CLIENT) as writer:
        for start in range(0, len(fresh), _WRITTEN_AT_ONCE):
            part = fresh[start : start + _WRITTEN_AT_ONCE]
            sent = [
                writer.send(
                    item.event(read_text_of_file(text), ()), key=item.id, id=item.id, causation_id=item.causation_id
                )
                for item, text in part
            ]
            for pending in sent:
                writer.wait(pending)
    return _summary(options, asked, reader.refresh(), len(fresh))


def _summary(
    options: AnswerOptions, asked: Asked, known: EvaluationProgress, written: int = 0, caller: Caller | None = None
) -> AnswerSummary:
    prompts = len(options.asked_prompts)
    missing = prompts - len(known.outcomes)
    return AnswerSummary(
        model=options.model.key,
        set=options.prompts.name,
        asked=asked.key,
        prompts=prompts,
        outcomes=known.counted(),
        missing=missing,
        written=written,
        calls=0 if caller is None else caller.started,
        ended=(None if caller is None else caller.halted) or "all prompts are answered",
        complete=not missing or options.answers is not None,
        run_cost_usd=known.ledger.cost_usd,
    )
