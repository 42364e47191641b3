"""A generator: one lane of a run, asking an LLM and writing a generation for each number, one after the other.

How it works: `concurrency` generations are under way at once. Each samples its seeds, asks its calls
(`producers.calls.caller` puts every one on the ledger) and becomes one `InstructionsGenerated`; they are written in the
order of their numbers, so the lane's numbers on the log have no gap. Before each call the log is read up to its end,
and limits and back-pressure are decided from it (`producers.calls.limits`).

How fast it asks adapts to the endpoint (`producers.calls.rate_control`). With `retries.forever` an endpoint that is
down is waited for, so that only a limit, a signal, the stall guard or an endpoint that refuses us ends it.

What it guarantees: all that it knows is on the log, so that a generator that was killed anywhere goes on where it was:
nothing is written twice, nothing that was answered is asked again, and a generation begun is finished with the seeds
it was begun with. Whether calls that were under way were paid for is not known; the ledger counts them as lost.

It does not know whether another process writes to the same lane at this moment, until it sees that one's calls: then it
stops. Lanes are for that: give each generator its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.choice import opened_backend
from producers.backends.recorded import RecordedOptions
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.found_concurrency import keep_found, rate_control_for
from producers.calls.limits import MOST_IN_FLIGHT, Limits
from producers.calls.rate_control import RateOptions
from producers.calls.retries import Retries
from producers.generate.backpressure import Backpressure
from producers.generate.kept_reader import opened_kept
from producers.generate.lane import Lane, OnGeneration
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import Stalled, StallGuard
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.trainer_backlog import TrainerBacklogReader
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class GenerateOptions:
    """What a generator does, beside its settings.

    recorded      the file of answers, when the settings' backend is `recorded`
    concurrency   generations under way at once; None: twice as many as calls may be
    in_flight     calls under way at once, at most; None: what suits the backend, or is found out
    ahead_windows training windows of rows that it may be ahead of the trainer by, where `limits.max_ahead` does not
                  say it in rows and training feeds back; None: any number
    """

    run: str
    lane: str = "main"
    asking: StyleInUse = field(default_factory=StyleInUse)
    recorded: RecordedOptions | None = None
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    pace: RateOptions = field(default_factory=RateOptions)
    guard: StallGuard = field(default_factory=StallGuard)
    concurrency: int | None = 1
    in_flight: int | None = None
    ahead_windows: int | None = None

    def __post_init__(self) -> None:
        if (self.concurrency is not None and self.concurrency < 1) or not 1 <= (self.in_flight or 1) <= MOST_IN_FLIGHT:
            raise ConfigurationError(
                f"concurrency is {self.concurrency} and in_flight {self.in_flight}; concurrency must be 1 or more, and "
                f"in_flight from 1 to {MOST_IN_FLIGHT}. For more calls at once start another generator with its --lane."
            )


@dataclass(frozen=True)
class GenerateSummary:
    """What this process did, and why it ended.

    calls         attempts started
    run_cost_usd  what the run's answers cost so far, of all generators; None when one of them is of unknown cost
    unfinished    generations of the lane begun and not written; their answers are on the ledger for the next start
    waited_s      seconds held back, by what for: `filter` or `trainer` was behind, or the `target` may be reached
    at_once       a second signal ended it, calls under way were given up
    stalled       what the stall guard ended it for
    lost_calls, repeated_calls   of the run: perhaps paid for nothing, and paid twice; `repeated_usd` is known of these
    read_at_start                records that were read before the first call
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

    SIGTERM or SIGINT lets the calls under way end, writes what is whole, and returns; a second one returns at once.
    Signals are only heeded in the main thread. `progress` is told what takes long before the first call, and now and
    then whom it waits for.
    Raises BackendError when the endpoint fails for good, RunError when the run is not there or somebody else writes to
    the lane, ConfigurationError for options that will not do, BrokerError when the cluster is away.
    """
    configured, _ = read_run(settings, options.run)
    prices = Prices(settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens)
    limits = _limits(options.limits, settings).closing_the_loop(configured.policy, options.ahead_windows)
    limits.check(configured.policy, priced=prices.known)
    style = style_of(options.asking, settings)
    pace = rate_control_for(settings, options.pace, options.in_flight, progress)

    def concurrency() -> int:
        return options.concurrency or 2 * pace.concurrency.limit

    reader = ProgressReader(settings, configured, options.lane, yield_window=options.guard.window, say=progress)
    untrained = TrainerBacklogReader(settings, options.run, options.lane)
    holding = Backpressure(progress)
    try:
        with (
            opened_backend(settings, options.recorded, pace.most, progress) as backend,
            LogWriter(settings, options.run, f"generator-{options.lane}") as writer,
            opened_kept(settings, configured, options.lane, style) as kept,
        ):
            caller = Caller(
                backend=backend,
                writer=writer,
                refresh=reader.refresh,
                may_call=limits.may_call,
                prices=prices,
                retries=options.retries,
                pace=pace,
                known=reader.progress,
                max_answer_bytes=settings.max_answer_bytes,
            )
            lane = Lane(
                options.run,
                options.lane,
                concurrency,
                limits,
                options.guard,
                style,
                reader,
                caller,
                backend,
                on_generation,
                kept,
                untrained,
                holding,
            )
            asyncio.run(lane.run())
        keep_found(settings, pace)
        known = reader.refresh()
        reader.keep()
        return GenerateSummary(
            lane=options.lane,
            ended=caller.halted or "stopped",
            generations=lane.written,
            instructions=lane.instructions,
            calls=caller.started,
            unfinished=known.unfinished(),
            run_cost_usd=known.ledger.cost_usd,
            waited_s={who: round(seconds, 3) for who, seconds in holding.waited_s.items()},
            at_once=lane.at_once,
            stalled=lane.halted,
            lost_calls=known.ledger.lost,
            repeated_calls=known.ledger.repeated,
            repeated_usd=known.ledger.repeated_cost_usd,
            read_at_start=reader.from_start,
        )
    finally:
        untrained.close()
        reader.close()


def _limits(limits: Limits, settings: Settings) -> Limits:
    return limits if limits.max_filter_lag is not None else replace(limits, max_filter_lag=settings.max_filter_lag)
