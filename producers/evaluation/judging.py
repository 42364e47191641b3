"""A judge compares answers of models, or says which ones refuse; each reading an event on `judgements`.

Two answers are shown in both orders, since judges favour a place. Calls are made as a generator's are
(`producers.calls.ordered_work`), in a lane of the comparison's own: what was judged is not judged again, and no answer
of the judge is paid for twice. Whether a model has won is not decided here: it is a fold of the readings.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource, Source
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.base import Sampling
from producers.backends.choice import opened_backend, warn_of_task
from producers.calls.caller import Caller, CallOptions
from producers.calls.found_concurrency import rate_control_for
from producers.calls.ordered_work import OrderedWork, work_off
from producers.calls.refusals import Refusals
from producers.calls.spending_check import check_spending
from producers.evaluation.answers import OnDone
from producers.evaluation.item_list import ItemList
from producers.evaluation.judgement_items import AnswerJudge, JudgedSet, judgement_items
from producers.evaluation.progress import CLIENT, evaluation_reader
from producers.prompts.pair import ANSWER_RUBRICS, AnswerRubricName
from schemas.errors import ConfigurationError
from schemas.evaluation import AnswerGiven
from schemas.events import Judge
from streams.core.evaluation.lanes import evaluation_lane

_ANSWERS_BYTES = 7 * 1024 * 1024  # in an event


@dataclass(frozen=True, kw_only=True)
class JudgingOptions(CallOptions):
    """What is judged, and how. Of recorded answers a reading takes `attempts` lines.

    rubric     `pair`: two answers are compared; `refusal`: does an answer refuse?
    sets       whose answers to which prompts
    sampling   parameters that differ from the prompt's own
    attempts   how often scores are asked for until some can be read
    """

    run: str
    sets: tuple[JudgedSet, ...]
    rubric: AnswerRubricName = "pair"
    sampling: Sampling = field(default_factory=Sampling)
    attempts: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rubric not in ANSWER_RUBRICS:
            raise ConfigurationError(f"There is no rubric {self.rubric!r}. Choose one of {', '.join(ANSWER_RUBRICS)}.")
        if self.attempts < 1:
            raise ConfigurationError(f"attempts is {self.attempts}; it must be 1 or more.")
        for judged in self.sets:
            models = [each.model for each in judged.answers]
            if self.rubric == "pair" and (len(models) < 2 or len(set(models)) < len(models)):
                raise ConfigurationError(
                    f"Compared are {', '.join(models) or 'no models'}. Give two models or more, each another one."
                )


@dataclass(frozen=True)
class JudgingSummary:
    """The readings of a judge, and what this process did for them.

    readings       wanted: both orders of each prompt and pair of models, or each answer
    read, unread   on the log so far, with and without scores
    unanswered     readings not asked for, because an answer is missing or has no text
    written        readings written by this process; `calls`: attempts started by it
    unfinished     readings that are still to be made
    ended          why it ended
    run_cost_usd   cost of the run's answers so far, of all its programs; None if one is not known
    """

    judge: str
    readings: int
    read: int
    unread: int
    unanswered: int
    written: int
    calls: int
    unfinished: int
    ended: str
    run_cost_usd: float | None
    lost_calls: int
    repeated_calls: int


def judge_answers(
    options: JudgingOptions,
    settings: Settings,
    *,
    on_done: OnDone = lambda done, of: None,
    notify: Callable[[str], None] = lambda _: None,
) -> JudgingSummary:
    """Have the judge that the settings name read the answers on the run's log, and write each reading there.

    Signals end it as they end `give_answers`.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist or another process runs
    the same comparison, ConfigurationError for unusable options, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, options.run)
    check_spending(options.limits, configured.policy, settings, notify)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were evaluations
    given = read_given(
        KafkaSource(settings, options.run), frozenset(id for judged in options.sets for id in judged.answer_ids())
    )
    warn_of_task(settings, notify)
    rubric = ANSWER_RUBRICS[options.rubric]
    rate = rate_control_for(settings, options.rate, options.in_flight, notify)
    with ExitStack() as stack:
        backend = stack.enter_context(opened_backend(settings, options.recorded, rate.most, notify))
        judge = AnswerJudge(
            judge=Judge(backend=backend.name, model=backend.model, rubric=rubric.name, version=rubric.version),
            rubric=rubric,
            completion=settings.api == "completion",
            sampling=options.sampling,
            attempts=options.attempts,
            refusals=Refusals(most_flagged=None),
        )
        items, unanswered = judgement_items(options.sets, judge, given)
        lane = evaluation_lane(rubric.name, [judge.judge.name, *(part for each in options.sets for part in each.key())])
        wanted = frozenset(item.id for item in items)
        reader = stack.enter_context(evaluation_reader(settings, configured, lane, "judgements", wanted))
        writer = stack.enter_context(LogWriter(settings, options.run, CLIENT))
        caller = Caller.of(
            options,
            settings,
            backend=backend,
            writer=writer,
            reader=reader,
            rate=rate,
            # An event holds all answers of the judge, and the reason in the last one.
            most_bytes=_ANSWERS_BYTES // (options.attempts + 1),
        )
        queue = ItemList(items, reader.progress.done, on_done)
        work = OrderedWork(queue, caller, reader.progress, in_flight=rate.most, on_written=queue.written)
        known = work_off(work, backend, settings, rate, reader)
        counted = known.counted()
        return JudgingSummary(
            judge=judge.judge.name,
            readings=len(items) + unanswered,
            read=counted.get("read", 0),
            unread=counted.get("unread", 0),
            unanswered=unanswered,
            written=work.written,
            calls=caller.started,
            unfinished=len(items) - len(known.outcomes),
            ended=caller.halted or "all readings are made",
            run_cost_usd=known.ledger.cost_usd,
            lost_calls=known.ledger.lost,
            repeated_calls=known.ledger.repeated,
        )


def read_given(source: Source, wanted: frozenset[str]) -> dict[str, AnswerGiven]:
    """The answers of these ids on the log; the first of an id counts."""
    found: dict[str, AnswerGiven] = {}
    with source.open(["answers"]) as reading:
        for record in reading.rest():
            if isinstance(event := record.event, AnswerGiven) and record.id in wanted:
                found.setdefault(record.id, event)
    return found
