"""A judge of a run: an LLM scores kept rows, each judgement an event on `judged`.

It makes calls as a generator does (`producers.calls.caller`): each is on the ledger before it is made, each answer
before it is parsed; limits are the run's; the rate adapts to the endpoint. So a judge that was killed anywhere can
continue: no row is judged twice, and no answer is paid for twice.

The filter's decisions do not depend on it. The readers of the scores decide which rows are good enough
(`streams.core.judging`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.metrics.declared import JUDGE
from infra.observed import observed
from infra.settings import Settings
from producers.backends.base import Sampling
from producers.backends.choice import opened_backend, warn_of_task
from producers.calls.answered_rows import rows_in_order
from producers.calls.caller import Caller, CallOptions
from producers.calls.found_concurrency import rate_control_for
from producers.calls.kept_rows import OnRows
from producers.calls.ordered_progress import CODE, OrderedReader, OrderedSnapshot
from producers.calls.ordered_work import work_off
from producers.calls.spending_check import check_spending
from producers.generate.progress_reader import lane_snapshot
from producers.judge.progress import JudgeProgress
from producers.judge.scoring import JudgeWorker, OnJudged, RowJudge, RowQueue, RowSample
from producers.prompts.judge import RUBRICS, RubricName
from schemas.errors import ConfigurationError
from schemas.events import Judge, RunConfigured
from streams.core.judging import LANE

_CODE = (*CODE, "producers/judge/progress.py", "producers/judge/scoring.py")
"""`scoring` chooses the rows that a position passes over."""


@dataclass(frozen=True)
class JudgeOptions(CallOptions):
    """What a judge does, beside its settings. Of recorded answers a row takes `attempts` lines.

    sampling    parameters that differ from the prompt's own
    attempts    how often a score is asked for until one can be read
    until_end   end when all rows decided and answered so far are judged; else wait for more
    """

    run: str
    rubric: RubricName = "accuracy"
    sample: RowSample = field(default_factory=RowSample)
    sampling: Sampling = field(default_factory=Sampling)
    attempts: int = 2
    until_end: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rubric not in RUBRICS:
            raise ConfigurationError(f"There is no rubric {self.rubric!r}. Choose one of {', '.join(RUBRICS)}.")
        if self.attempts < 1:
            raise ConfigurationError(f"attempts is {self.attempts}; it must be 1 or more.")
        share, limit = self.sample.sample, self.sample.limit
        if (share is not None and not 0 < share <= 1) or (limit is not None and limit < 1):
            raise ConfigurationError(
                f"sample is {share} and limit {limit}; the sample must be above 0 and at most 1, the limit 1 or more."
            )


@dataclass(frozen=True)
class JudgeSummary:
    """What this process did, and why it ended.

    judged, unreadable   judgements written, and those of them without a score
    calls                attempts started
    unfinished           judgements begun and not written; the next start continues from their answers
    run_cost_usd         cost of the run's answers so far, of generators too; None if one is not known
    lost_calls, repeated_calls   of the run: perhaps paid for without an answer, and paid twice
    at_once              a second signal ended it, and calls in flight were cancelled
    """

    judge: str
    ended: str
    judged: int
    unreadable: int
    calls: int
    unfinished: int
    run_cost_usd: float | None
    lost_calls: int
    repeated_calls: int
    at_once: bool


def judge(
    options: JudgeOptions,
    settings: Settings,
    *,
    on_judged: OnJudged | None = None,
    on_rows: OnRows = lambda done, of: None,
    progress: Callable[[str], None] = lambda _: None,
) -> JudgeSummary:
    """Judge the run's kept rows, with the backend that the settings name, and write each judgement to the log.

    On SIGTERM or SIGINT the calls in flight end, complete judgements are written, and it returns; on a second one it
    returns at once. Signals are handled only in the main thread. `progress` gets a message about slow steps before the
    first call.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist or another process runs
    the same judge, ConfigurationError for unusable options, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, options.run)
    check_spending(options.limits, configured.policy, settings, progress)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were judges
    warn_of_task(settings, progress)
    chosen = RUBRICS[options.rubric]
    rate = rate_control_for(settings, options.rate, options.in_flight, progress, options.batch)
    with (
        observed(settings, options.run, JUDGE, f"{JUDGE}-{chosen.name}", say=progress),
        opened_backend(settings, options.recorded, rate.most, progress) as backend,
    ):
        identity = Judge(backend=backend.name, model=backend.model, rubric=chosen.name, version=chosen.version)
        reader = _reader(settings, configured, identity, progress)
        rows = rows_in_order(KafkaSource(settings, options.run), configured.policy)
        try:
            with LogWriter(settings, options.run, "judge") as writer:
                caller = Caller.of(
                    options, settings, backend=backend, writer=writer, reader=reader, rate=rate, notify=progress
                )
                row_judge = RowJudge(
                    judge=identity,
                    rubric=chosen,
                    completion=settings.api == "completion",
                    sampling=options.sampling,
                    attempts=options.attempts,
                )
                queue = RowQueue(rows, row_judge, options.sample, options.until_end, on_rows)
                queue.go_on(reader.reached)
                worker = JudgeWorker(queue, caller, reader.progress, in_flight=rate.most, on_judged=on_judged)
                known = work_off(worker, caller.backend, settings, rate, reader)
            return JudgeSummary(
                judge=identity.name,
                ended=caller.halted or "all requested rows are judged",
                judged=worker.written,
                unreadable=worker.unreadable,
                **caller.totals(known),
                at_once=worker.cancelled,
            )
        finally:
            rows.close()
            reader.close()


def _reader(
    settings: Settings, configured: RunConfigured, judge: Judge, notify: Callable[[str], None]
) -> OrderedReader[JudgeProgress]:
    """What this judge knows of the run, from a snapshot on."""
    lane = f"{LANE}/{judge.name}"
    file = lane_snapshot(settings, configured, lane, "judge", *_CODE)
    file.notify = notify
    begin = lambda: JudgeProgress(lane, configured, judge=judge.name)  # noqa: E731
    return OrderedReader(settings, begin, ("judged", "calls"), "judge", OrderedSnapshot(file, JudgeProgress))
