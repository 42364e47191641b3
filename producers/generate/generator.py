"""A generator: one lane of a run that asks an LLM and writes one event for each generation.

How it works: `concurrency` generations are in progress at once. Each is about seeds that it samples, or about a segment
of a document (`producers.generate.subjects`), makes its calls (the ledger
records every one, `producers.calls.caller`) and becomes one `InstructionsGenerated`. These are written in the order of
their numbers, so a lane's numbers on the log have no gap. Before a call the log is read to its end, and limits and
backpressure are decided from it (`producers.calls.limits`).

Its rate adapts to the endpoint (`producers.calls.rate_control`). With `retries.forever` it waits for an endpoint that
is down; then only a limit, a signal, the stall guard or an endpoint that refuses all requests ends it.

What it guarantees: all its state is on the log. A generator that was killed anywhere continues where it was: nothing is
written twice, no answered request is asked again, and a generation keeps the seeds that it was begun with. Whether
calls in flight were paid for is not known; the ledger counts them as lost.

It does not know whether another process writes to the same lane, until it sees that process's calls; then it stops.
Give each generator its own lane.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.metrics.declared import GENERATOR, WAITED
from infra.metrics.meters import meters
from infra.observed import observed
from infra.settings import Settings
from producers.backends.choice import opened_backend, warn_of_task
from producers.calls.caller import Caller, CallOptions
from producers.calls.found_concurrency import keep_found, rate_control_for
from producers.calls.spending_check import check_spending
from producers.documents.options import DocumentsInUse
from producers.generate.answer_backlog import AnswerBacklogReader
from producers.generate.backpressure import Backpressure
from producers.generate.lane import Lane
from producers.generate.lane_parts import LaneOptions, LaneServices, OnGeneration
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import Stalled, StallGuard
from producers.generate.style_factory import StyleInUse, check_steering, style_of
from producers.generate.subjects import Subjects, opened_seed_subjects
from producers.generate.trainer_backlog import TrainerBacklogReader
from schemas.errors import ConfigurationError
from schemas.events import RunConfigured
from streams.core.steering import steers


@dataclass(frozen=True)
class GenerateOptions(CallOptions):
    """What a generator does, beside its settings.

    style           how generations are made from seeds
    documents       how generations are made from documents; None: they are made from seeds
    concurrency     generations in progress at once; None: twice the calls in flight
    ahead_windows   training windows of rows that it may be ahead of the trainer, where `limits.max_ahead` does not set
                    a number of rows and training feeds back; None: no limit
    """

    run: str
    lane: str = "main"
    style: StyleInUse = field(default_factory=StyleInUse)
    documents: DocumentsInUse | None = None
    guard: StallGuard = field(default_factory=StallGuard)
    concurrency: int | None = 1
    ahead_windows: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError(f"concurrency is {self.concurrency}; it must be 1 or more.")
        if self.batch is not None and self.documents is not None:
            raise ConfigurationError(
                "Generations about documents are not asked in batches. Leave --batch-api out with --producer goliath."
            )


@dataclass(frozen=True)
class GenerateSummary:
    """What this process did, and why it ended.

    calls         attempts started
    run_cost_usd  cost of the run's answers so far, of all generators; None if one is not known
    unfinished    generations of the lane begun and not written; the next start continues from their answers
    waited_s      seconds spent waiting, by reason: the `filter` or `trainer` was behind, or the `target` may be reached
    at_once       a second signal ended it, and calls in flight were cancelled
    stalled       what the stall guard ended it for
    lost_calls, repeated_calls   of the run: perhaps paid for without an answer, and paid twice for `repeated_usd`
    read_at_start                records read before the first call
    """

    lane: str
    ended: str
    generations: int
    instructions: int
    calls: int
    unfinished: int
    run_cost_usd: float | None
    waited_s: dict[str, float]
    at_once: bool
    stalled: Stalled | None
    lost_calls: int
    repeated_calls: int
    repeated_usd: float
    read_at_start: int


def generate(
    options: GenerateOptions,
    settings: Settings,
    *,
    on_generation: OnGeneration | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> GenerateSummary:
    """Generate until a limit is reached or a signal comes, with the backend that the settings name.

    On SIGTERM or SIGINT the calls in flight end, complete generations are written, and it returns; on a second one it
    returns at once. Signals are handled only in the main thread. `progress` gets a message about slow steps before the
    first call, and now and then about what it waits for.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist or another process writes
    to the lane, ConfigurationError for unusable options, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, options.run)
    limits = options.limits.with_training_limit(configured.policy, options.ahead_windows)
    limits = limits.with_answer_limit(configured.policy)
    if limits.max_filter_lag is None:
        limits = replace(limits, max_filter_lag=settings.max_filter_lag)
    check_spending(limits, configured.policy, settings, progress)
    rate = rate_control_for(settings, options.rate, options.in_flight, progress, options.batch)

    reader = ProgressReader(settings, configured, options.lane, yield_window=options.guard.window, notify=progress)
    backlog = TrainerBacklogReader(settings, configured, options.lane)
    unanswered = AnswerBacklogReader(settings, options.run, options.lane)
    backpressure = Backpressure(progress)
    try:
        with (
            observed(settings, options.run, GENERATOR, f"{GENERATOR}-{options.lane}", say=progress),
            _opened_subjects(options, settings, configured, reader, progress) as subjects_of,
            opened_backend(settings, options.recorded, rate.most, progress) as backend,
            LogWriter(settings, options.run, f"generator-{options.lane}") as writer,
        ):
            caller = Caller.of(
                options,
                settings,
                backend=backend,
                writer=writer,
                reader=reader,
                rate=rate,
                limits=limits,
                notify=progress,
            )
            services = LaneServices(
                subjects=subjects_of(caller),
                reader=reader,
                caller=caller,
                backend=caller.backend,
                backpressure=backpressure,
                backlog=backlog,
                unanswered=unanswered,
                on_generation=on_generation,
            )
            lane = Lane(LaneOptions(options.run, options.lane, options.concurrency, limits, options.guard), services)
            meters().read(WAITED, lambda: dict(backpressure.waited_s))
            asyncio.run(lane.run())
        keep_found(settings, rate)
        known = reader.refresh()
        reader.keep()
        return GenerateSummary(
            lane=options.lane,
            ended=caller.halted or "stopped",
            generations=lane.state.written,
            instructions=lane.state.instructions,
            **caller.totals(known),
            waited_s={reason: round(seconds, 3) for reason, seconds in backpressure.waited_s.items()},
            at_once=lane.state.cancelled,
            stalled=lane.state.stalled,
            repeated_usd=known.ledger.repeated_cost_usd,
            read_at_start=reader.read_at_start,
        )
    finally:
        backlog.close()
        unanswered.close()
        reader.close()


@contextmanager
def _opened_subjects(
    options: GenerateOptions,
    settings: Settings,
    configured: RunConfigured,
    reader: ProgressReader,
    notify: Callable[[str], None],
) -> Iterator[Callable[[Caller], Subjects]]:
    """What the lane's generations are about, once its caller is there. Raises ConfigurationError."""
    if options.documents is not None:
        from producers.documents.opening import opened_documents

        if steers(configured.policy):
            notify("The policy's seed_choice, adapt and hints are about seeds: requests about documents ignore them")
        with opened_documents(options.documents, settings, configured, reader.progress, notify) as subjects:
            yield lambda _: subjects
        return
    policy = configured.policy
    check_steering(policy, options.style.style)
    style = style_of(options.style, settings, policy.answer)
    warn_of_task(settings, notify)
    with opened_seed_subjects(style, settings, configured, options.lane) as seed_subjects:
        yield seed_subjects
