"""A judge of a run: an LLM that scores kept rows, each judgement an event on `judged`.

It asks as a generator does (`producers.calls.caller`): every call is on the ledger before it is made and its answer
before anything looks into it, limits are the run's, and how fast it asks adapts to the endpoint. So a judge that was
killed anywhere goes on where it was: no row is judged twice, and no answer is paid for twice.

The filter and its decisions know nothing of it. Which rows a score is good enough for is for those to say who read the
scores (`streams.core.judging`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.base import Sampling
from producers.backends.choice import opened_backend
from producers.backends.recorded import RecordedOptions
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.found_concurrency import keep_found, rate_control_for
from producers.calls.limits import MOST_IN_FLIGHT, Limits
from producers.calls.rate_control import RateOptions
from producers.calls.retries import Retries
from producers.judge.kept_rows import KeptRows
from producers.judge.progress import JudgeReader
from producers.judge.scoring import JudgeWorker, OnJudged, OnRows, RowSample
from producers.prompts.judge import RUBRICS, RubricName, rubric
from schemas.errors import ConfigurationError
from schemas.events import Judge
from streams.core.judging import LANE


@dataclass(frozen=True)
class JudgeOptions:
    """What a judge does, beside its settings.

    recorded    the file of answers, when the settings' backend is `recorded`; a row takes `asks` lines of it
    sampling    parameters that differ from the prompt's own
    asks        how often a row is asked about until an answer can be read
    until_end   end when all rows are judged that are decided; else wait for more
    in_flight   calls under way at once, at most; None: what suits the backend
    """

    run: str
    rubric: RubricName = "accuracy"
    choice: RowSample = field(default_factory=RowSample)
    recorded: RecordedOptions | None = None
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    pace: RateOptions = field(default_factory=RateOptions)
    sampling: Sampling = field(default_factory=Sampling)
    asks: int = 2
    until_end: bool = False
    in_flight: int | None = None

    def __post_init__(self) -> None:
        if self.rubric not in RUBRICS:
            raise ConfigurationError(f"There is no rubric {self.rubric!r}. Choose of {', '.join(RUBRICS)}.")
        if self.asks < 1 or not 1 <= (self.in_flight or 1) <= MOST_IN_FLIGHT:
            raise ConfigurationError(
                f"A row is asked about {self.asks} times and {self.in_flight} calls are under way; it must be 1 or "
                f"more, and from 1 to {MOST_IN_FLIGHT}."
            )
        sample, limit = self.choice.sample, self.choice.limit
        if (sample is not None and not 0 < sample <= 1) or (limit is not None and limit < 1):
            raise ConfigurationError(
                f"A share of {sample} of the rows and at most {limit} are to be judged; the share must be above 0 and "
                "at most 1, the number 1 or more."
            )


@dataclass(frozen=True)
class JudgeSummary:
    """What this process did, and why it ended.

    judged, unreadable   judgements written, and those of them without a score
    calls                attempts started
    unfinished           judgements begun and not written; their answers are on the ledger for the next start
    run_cost_usd         what the run's answers cost so far, a generator's too; None when one is of unknown cost
    lost_calls, repeated_calls   of the run: perhaps paid for nothing, and paid twice
    at_once              a second signal ended it, calls under way were given up
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

    SIGTERM or SIGINT lets the calls under way end, writes what is whole, and returns; a second one returns at once.
    Signals are only heeded in the main thread. `progress` is told what takes long before the first call.
    Raises BackendError when the endpoint fails for good, RunError when the run is not there or another process judges
    with the same judge, ConfigurationError for options that will not do, BrokerError when the cluster is away.
    """
    configured, _ = read_run(settings, options.run)
    prices = Prices(settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens)
    options.limits.check(configured.policy, priced=prices.known)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were judges
    by, pace = rubric(options.rubric), rate_control_for(settings, options.pace, options.in_flight, progress)
    recorded = options.recorded
    with opened_backend(settings, recorded, pace.most, progress) as backend:
        who = Judge(backend=backend.name, model=backend.model, rubric=by.name, version=by.version)
        reader = JudgeReader(settings, configured, f"{LANE}/{who.name}", who.name)
        rows = KeptRows(KafkaSource(settings, options.run))
        try:
            with LogWriter(settings, options.run, "judge") as writer:
                caller = Caller(
                    backend=backend,
                    writer=writer,
                    refresh=reader.refresh,
                    may_call=options.limits.may_call,
                    prices=prices,
                    retries=options.retries,
                    pace=pace,
                    known=reader.progress,
                    max_answer_bytes=settings.max_answer_bytes,
                )
                judging = JudgeWorker(
                    who,
                    by,
                    settings.api == "completion",
                    options.sampling,
                    options.asks,
                    options.choice,
                    options.until_end,
                    pace.most,
                    rows,
                    reader.progress,
                    caller,
                    backend,
                    on_judged,
                    on_rows,
                )
                asyncio.run(judging.run())
            keep_found(settings, pace)
            known = reader.refresh()
            return JudgeSummary(
                judge=who.name,
                ended=caller.halted or "all rows that were asked for are judged",
                judged=judging.judged,
                unreadable=judging.unreadable,
                calls=caller.started,
                unfinished=known.unfinished(),
                run_cost_usd=known.ledger.cost_usd,
                lost_calls=known.ledger.lost,
                repeated_calls=known.ledger.repeated,
                at_once=judging.at_once,
            )
        finally:
            rows.close()
            reader.close()
