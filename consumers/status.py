"""The state of a run now: lag, rates, cost, cluster balance, seeds, the last window, the broker.

`StatusWatch` keeps the fold of the run and reads on from its position, so another look reads only new records. Rates
are events of the last minute by the records' timestamps, without repeats.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec

from consumers.folds.counts import RunCounts, counts_of
from consumers.folds.moment import Moment
from consumers.folds.run_fold import RunFold
from consumers.seed_table import SeedRow, by_score, seed_rows
from infra.cluster.health import cluster_health
from infra.log.closing import Closing
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.run import read_run
from infra.log.source import TOPICS, dead_letter_topics
from infra.settings import Settings
from schemas.errors import BrokerError
from schemas.events import CallAnswered, InstructionKept, InstructionsGenerated, InstructionsRejected, TrainingLogged

RATE_S = 60.0
_SEEDS_SHOWN = 5


class EventRates(msgspec.Struct, frozen=True, kw_only=True):
    """Per second, over the last minute or the run's whole time if that is shorter."""

    calls: float
    generations: float
    generated: float
    kept: float
    rejected: float
    steps: float


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Work that is pending: `generations` without a verdict, and `untrained` kept rows that are in no logged batch.

    Of a run that answers kept instructions alone, rows with an answer that is used.
    """

    generations: int
    untrained: int


class WindowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The last training window, and the feedback agent's answer; None while there is none."""

    epoch: int
    window: int
    step: int
    loss: float | None
    grad_norm: float | None
    outcome: str | None
    replacements: int | None


class BrokerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the cluster answers, with how many brokers, or else why not."""

    healthy: bool
    bootstrap: str
    brokers: int
    detail: str


class Status(RunCounts, frozen=True, kw_only=True):
    """One run now; `smallest` and `largest` are the kept rows of those clusters."""

    at_ms: int
    moment: Moment
    lag: Lag
    rates: EventRates
    smallest: int
    largest: int
    last_window: WindowStatus | None
    lowest_seeds: tuple[SeedRow, ...]
    highest_seeds: tuple[SeedRow, ...]
    broker: BrokerHealth


@dataclass
class RecentEvents:
    """Events of the last minute, for the rates."""

    _events: deque[tuple[int, str, int]] = field(default_factory=deque)

    def add(self, record: Record) -> None:
        match record.event:
            case CallAnswered():
                self._add(record, "calls", 1)
            case InstructionsGenerated(instructions=instructions):
                self._add(record, "generations", 1)
                self._add(record, "generated", len(instructions))
            case InstructionKept():
                self._add(record, "kept", 1)
            case InstructionsRejected(rejections=rejections):
                self._add(record, "rejected", len(rejections))
            case TrainingLogged(steps=steps):
                self._add(record, "steps", len(steps))
            case _:
                pass

    def rates(self, now_ms: int, first_ms: int | None) -> EventRates:
        """Rates at `now_ms` of a run whose first event was at `first_ms`. Forgets events older than a minute."""
        since = now_ms - int(RATE_S * 1000)
        self._events = deque(event for event in self._events if event[0] > since)
        counts: Counter[str] = Counter()
        for at, name, number in self._events:
            if at <= now_ms:
                counts[name] += number
        span = RATE_S if first_ms is None else min(RATE_S, max(1.0, (now_ms - first_ms) / 1000))
        return EventRates(**{name: counts[name] / span for name in EventRates.__struct_fields__})

    def _add(self, record: Record, name: str, number: int) -> None:
        self._events.append((record.timestamp_ms, name, number))


class StatusWatch(Closing):
    """Follows a run; `look` reads what is new. Raises RunError when there is no such run."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        configured, _ = read_run(settings, run)
        self.fold = RunFold(configured)
        self._recent = RecentEvents()
        self._reader = LogReader(settings, run, (*TOPICS, *dead_letter_topics()), "status")

    def look(self) -> Status:
        """The run's status now. Raises BrokerError when the cluster does not answer."""
        for record in self._reader.read_to_end():
            if self.fold.apply(record) and record.timestamp_ms > (time.time() - RATE_S) * 1000:
                self._recent.add(record)
        now_ms = int(time.time() * 1000)
        return status_of(self.fold, self._recent.rates(now_ms, self.fold.first_ms), now_ms, health(self._settings))

    def close(self) -> None:
        self._reader.close()


def health(settings: Settings) -> BrokerHealth:
    """Whether the cluster answers within 3 s."""
    try:
        cluster = cluster_health(settings, timeout_s=3.0)
    except BrokerError as error:
        return BrokerHealth(healthy=False, bootstrap=settings.bootstrap_servers, brokers=0, detail=str(error))
    return BrokerHealth(
        healthy=True,
        bootstrap=settings.bootstrap_servers,
        brokers=len(cluster.brokers),
        detail=f"Cluster {cluster.cluster_id} answers.",
    )


def status_of(fold: RunFold, rates: EventRates, now_ms: int, broker: BrokerHealth) -> Status:
    counts = counts_of(fold)
    ranked = by_score(seed_rows(fold))
    answered_apart = fold.configured.policy.answer == "kept"
    usable = (id for id, reason in fold.answered.items() if reason is None) if answered_apart else fold.verdicts.kept
    return Status(
        **msgspec.structs.asdict(counts),
        at_ms=now_ms,
        moment=fold.moment.at(now_ms),
        lag=Lag(generations=fold.verdicts.lag, untrained=sum(1 for id in usable if id not in fold.trained)),
        rates=rates,
        smallest=min(counts.clusters),
        largest=max(counts.clusters),
        last_window=_last_window(fold),
        lowest_seeds=ranked[:_SEEDS_SHOWN],
        highest_seeds=ranked[::-1][:_SEEDS_SHOWN],
        broker=broker,
    )


def _last_window(fold: RunFold) -> WindowStatus | None:
    if not fold.windows:
        return None
    window = fold.windows[-1]
    last = window.steps[-1] if window.steps else None
    answers = [c.event for c in fold.commands if (c.event.epoch, c.event.window) == (window.epoch, window.window)]
    return WindowStatus(
        epoch=window.epoch,
        window=window.window,
        step=0 if last is None else last.step,
        loss=None if last is None else last.loss,
        grad_norm=None if last is None else last.grad_norm,
        outcome=answers[0].outcome if answers else None,
        replacements=len(answers[0].replacements) if answers else None,
    )
