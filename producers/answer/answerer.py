"""An answerer of a run: an LLM gives kept instructions their input and output, each row an event on `answered`.

In a run whose policy has `answer` as `kept`, a generation is a list of instructions, the filter decides on them, and
only what it keeps is answered: nothing is paid for answers to instructions that are thrown away. That is the order of
the original Self-Instruct.

It makes calls as a generator does (`producers.calls.caller`): each is on the ledger before it is made, each answer
before it is parsed; limits are the run's; the rate adapts to the endpoint. So an answerer that was killed anywhere can
continue: no row is answered twice, and no answer is paid for twice. Several can share a run by its clusters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.metrics.declared import ANSWERER, ROWS_ANSWERED
from infra.metrics.meters import meters
from infra.observed import observed
from infra.settings import Settings
from producers.answer.progress_reader import answer_reader
from producers.answer.rows import AnswerQueue, ClusterShare, RowAnswerer
from producers.backends.choice import opened_backend, warn_of_task
from producers.calls.caller import Caller, CallOptions
from producers.calls.found_concurrency import rate_control_for
from producers.calls.kept_rows import KeptRows, OnRows
from producers.calls.ordered_work import OrderedWork, work_off
from producers.calls.spending_check import check_spending
from producers.generate.style_factory import StyleInUse, answer_style
from schemas.errors import ConfigurationError, RunError
from schemas.events import Event, InstructionAnswered
from streams.core.answering import LANE

OnAnswered = Callable[[InstructionAnswered], None]


@dataclass(frozen=True)
class AnswererOptions(CallOptions):
    """What an answerer does, beside its settings.

    style       of its requests: one that asks for instructions and answers apart
    share       the clusters that it works on
    until_end   end when all rows decided so far are answered; else wait for more
    """

    run: str
    style: StyleInUse = field(default_factory=lambda: StyleInUse(style="two-step"))
    share: ClusterShare = field(default_factory=ClusterShare)
    until_end: bool = False


@dataclass(frozen=True)
class AnswererSummary:
    """What this process did, and why it ended.

    answered, unused   rows written, and those of them that are not used, by reason
    calls              attempts started
    unfinished         rows begun and not written; the next start continues from their answers
    run_cost_usd       cost of the run's answers so far, of generators too; None if one is not known
    lost_calls, repeated_calls   of the run: perhaps paid for without an answer, and paid twice
    at_once            a second signal ended it, and calls in flight were cancelled
    """

    lane: str
    ended: str
    answered: int
    unused: dict[str, int]
    calls: int
    unfinished: int
    run_cost_usd: float | None
    lost_calls: int
    repeated_calls: int
    at_once: bool


def answer(
    options: AnswererOptions,
    settings: Settings,
    *,
    on_answered: OnAnswered | None = None,
    on_rows: OnRows = lambda done, of: None,
    progress: Callable[[str], None] = lambda _: None,
) -> AnswererSummary:
    """Answer the run's kept instructions, with the backend that the settings name, and write each row to the log.

    On SIGTERM or SIGINT the calls in flight end, complete rows are written, and it returns; on a second one it returns
    at once. Signals are handled only in the main thread. `progress` gets a message about slow steps before the first
    call.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist, answers all instructions
    or has another process on these clusters, ConfigurationError for unusable options, BrokerError when the cluster does
    not answer.
    """
    configured, _ = read_run(settings, options.run)
    policy = configured.policy
    if policy.answer != "kept":
        raise RunError(
            f"Run {options.run!r} asks for each answer together with its instruction, so nothing is left to answer. "
            "A run answers kept instructions alone if it is made with --set answer=kept."
        )
    if options.share.of > policy.clusters:
        raise ConfigurationError(
            f"The clusters are shared by {options.share.of} answerers, and the run has {policy.clusters}. A cluster "
            "has one answerer: start at most so many, and raise --in-flight for more calls at once."
        )
    check_spending(options.limits, policy, settings, progress)
    apply(settings, options.run, policy.clusters)
    warn_of_task(settings, progress)
    rate = rate_control_for(settings, options.rate, options.in_flight, progress, options.batch)
    lane = f"{LANE}/{options.share}"
    with (
        observed(settings, options.run, ANSWERER, f"{ANSWERER}-{options.share}", say=progress),
        opened_backend(settings, options.recorded, rate.most, progress) as backend,
    ):
        row_answerer = RowAnswerer(policy, answer_style(options.style, settings), backend)
        reader = answer_reader(settings, configured, lane, progress)
        rows = KeptRows(KafkaSource(settings, options.run))
        try:
            with LogWriter(settings, options.run, f"answerer-{options.share}") as writer:
                caller = Caller.of(
                    options, settings, backend=backend, writer=writer, reader=reader, rate=rate, notify=progress
                )
                counts = _Counts(on_answered)
                queue = AnswerQueue(rows, options.share, row_answerer, options.until_end, on_rows)
                queue.go_on(reader.reached)
                work = OrderedWork(queue, caller, reader.progress, in_flight=rate.most, on_written=counts.count)
                known = work_off(work, caller.backend, settings, rate, reader)
            return AnswererSummary(
                lane=lane,
                ended=caller.halted or f"all kept rows{options.share.named} are answered",
                answered=work.written,
                unused=counts.unused,
                **caller.totals(known),
                at_once=work.cancelled,
            )
        finally:
            rows.close()
            reader.close()


@dataclass
class _Counts:
    on_answered: OnAnswered | None
    unused: dict[str, int] = field(default_factory=dict)

    def count(self, event: Event) -> None:
        if not isinstance(event, InstructionAnswered):
            return
        meters().add(ROWS_ANSWERED, 1, "used" if event.reason is None else "unused")
        if event.reason is not None:
            self.unused[event.reason] = self.unused.get(event.reason, 0) + 1
        if self.on_answered is not None:
            self.on_answered(event)
