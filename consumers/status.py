"""The state of a run now: lag, rates, cost, cluster balance, seeds, the last window, the broker.

`StatusWatch` keeps the fold of the run and reads on from its position, so another look reads only new records, and
another start only those after a snapshot. Rates are events of the last minute by the records' timestamps, without
repeats.
"""

import time

import msgspec

from consumers.folds.counts import RunCounts, counts_of
from consumers.folds.moment import Moment
from consumers.folds.read_fold import FOLDED, FoldFolder, fold_form
from consumers.folds.run_fold import RunFold
from consumers.seed_table import SeedRow, by_score, seed_rows
from infra.cluster.health import cluster_health
from infra.log.closing import Closing
from infra.log.source import KafkaSource
from infra.settings import Settings
from infra.snapshots.files import Notify
from infra.snapshots.following import LogFollower
from schemas.errors import BrokerError

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


class StatusWatch(Closing):
    """Follows a run; `look` reads what is new. It begins with a snapshot of the fold and leaves one.

    Raises RunError when there is no such run.
    """

    def __init__(self, settings: Settings, run: str, notify: Notify = lambda _: None) -> None:
        self._settings = settings
        source = KafkaSource(settings, run)
        file = FoldFolder(settings.state_dir, notify).file(source)
        self._log = LogFollower(settings, run, FOLDED, "status", fold_form(source), file)

    @property
    def fold(self) -> RunFold:
        return self._log.state

    def look(self) -> Status:
        """The run's status now. Raises BrokerError when the cluster does not answer, RunError when the run was made
        again meanwhile."""
        fold = self._log.refresh()
        self._log.keep()
        return status_of(fold, int(time.time() * 1000), health(self._settings))

    def close(self) -> None:
        self._log.close()


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


def status_of(fold: RunFold, now_ms: int, broker: BrokerHealth) -> Status:
    """The status at a time, of what the fold has."""
    counts = counts_of(fold)
    ranked = by_score(seed_rows(fold))
    answered_apart = fold.configured.policy.answer == "kept"
    usable = [id for id, reason in fold.answered.items() if reason is None] if answered_apart else fold.verdicts.kept
    untrained = len(usable) - sum(map(fold.trained.__contains__, usable))
    return Status(
        **msgspec.structs.asdict(counts),
        at_ms=now_ms,
        moment=fold.moment.at(now_ms),
        lag=Lag(generations=fold.verdicts.lag, untrained=untrained),
        rates=EventRates(
            **{name: fold.recent.per_second(name, now_ms, fold.first_ms) for name in EventRates.__struct_fields__}
        ),
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
    answers = [c.event for c in fold.commands if (c.event.epoch, c.event.window) == (window.epoch, window.window)]
    return WindowStatus(
        epoch=window.epoch,
        window=window.window,
        step=window.step or 0,
        loss=window.loss,
        grad_norm=window.grad_norm,
        outcome=answers[0].outcome if answers else None,
        replacements=len(answers[0].replacements) if answers else None,
    )
