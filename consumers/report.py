"""The report of a run: its numbers and cost by the log alone, and whether its books are in order.

It is a snapshot, also of a running run. `accounted` means that kept and rejected equal generated record by record: each
instruction of each decided generation has exactly one verdict, and the filter's own totals agree.
"""

from itertools import islice
from pathlib import Path

import msgspec

from consumers.folds.counts import RunCounts, counts_of
from consumers.folds.judgements import JudgementCounts, judgement_counts
from consumers.folds.read_fold import FoldFolder, read_fold
from consumers.folds.run_fold import RunFold
from consumers.folds.spending import Purpose, Saving
from consumers.folds.verdicts import BookkeepingProblem
from consumers.seed_table import SeedRow, seed_rows
from consumers.trainer.record.metrics import METRICS, HeldOutLine, read_metrics
from infra.log.source import Source
from infra.prices import PricesInUse
from streams.core.spent import Spent

_PROBLEMS_SHOWN = 5


class PurposeCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls for one purpose took, and that for each row of the data.

    tokens, usd                   None when those of one call are not known; then `known_tokens` and `known_usd` are
                                  a lower bound
    cached_tokens                 of the prompt tokens; None when no call reports them
    calls_per_row, tokens_per_row, usd_per_row   for each row that is used: kept, and answered where answers are asked
                                  for apart; None when there is none, or the sum is not known
    """

    calls: int
    tokens: int | None
    known_tokens: int
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    usd: float | None
    known_usd: float
    calls_per_row: float | None
    tokens_per_row: float | None
    usd_per_row: float | None


class Report(RunCounts, frozen=True, kw_only=True):
    """One run.

    duplicates     events dropped as repeats, by topic
    unreadable     records that do not decode, by topic
    rows           kept, and with an answer that is used where answers are asked for apart
    spent          what the calls were for, lost and failed ones too; without the purposes that had none
    spent_total    all of these together but lost calls, which have no outcome; the same as `calls`, `tokens`, `cost`
    prices         what calls cost now by the settings of this machine; they are not on the log
    saving         what answering kept instructions alone saves, or would have; None where they are asked for at once
    judged         the judges' scores of the kept rows
    held_out       losses on held-out rows, from the folder of a training of the run; they are not on the log
    unaccounted    instructions without exactly one verdict, and other faults of the books; the first few
    """

    duplicates: dict[str, int]
    unreadable: dict[str, int]
    rows: int
    spent: dict[Purpose, PurposeCost]
    spent_total: PurposeCost
    saving: Saving | None
    judged: tuple[JudgementCounts, ...] = ()
    held_out: tuple[HeldOutLine, ...] = ()
    accounted: bool
    unaccounted: int
    unaccounted_first: tuple[BookkeepingProblem, ...]
    seeds: tuple[SeedRow, ...] | msgspec.UnsetType = msgspec.UNSET
    prices: PricesInUse | msgspec.UnsetType = msgspec.UNSET


def report(source: Source, *, seeds: bool = False, snapshots: FoldFolder | None = None) -> Report:
    """The report of a run, with a row for each seed if `seeds`; with a folder for snapshots it goes on from one.

    Raises RunError when there is no such run.
    """
    return report_of(read_fold(source, snapshots), seeds=seeds)


def held_out_of(run: str, training: Path) -> tuple[HeldOutLine, ...]:
    """The losses on held-out rows in a training's folder; empty when it is another run's, or has none.

    Raises TrainerError when they cannot be read.
    """
    metrics = read_metrics(training / METRICS)
    return metrics.held_out_curve if metrics.training is not None and metrics.training.run == run else ()


def report_of(fold: RunFold, *, seeds: bool = False) -> Report:
    problems = fold.verdicts.problems()
    first = tuple(islice(problems, _PROBLEMS_SHOWN))
    unaccounted = len(first) + sum(1 for _ in problems)
    counts = counts_of(fold)
    rows = counts.kept if isinstance(counts.answered, msgspec.UnsetType) else counts.answered.used
    by_purpose, total = fold.spending.by_purpose(fold.ledger.lost), Spent()
    for purpose, spent in by_purpose.items():
        if purpose != "lost":
            total.merge(spent)
    return Report(
        **msgspec.structs.asdict(counts),
        duplicates=dict(sorted(fold.dropped.items())),
        unreadable=dict(sorted(fold.unreadable.items())),
        rows=rows,
        spent={purpose: _cost(spent, rows) for purpose, spent in by_purpose.items() if spent.calls},
        spent_total=_cost(total, rows),
        saving=fold.spending.saving(),
        judged=judgement_counts(fold),
        accounted=unaccounted == 0,
        unaccounted=unaccounted,
        unaccounted_first=first,
        seeds=seed_rows(fold) if seeds else msgspec.UNSET,
    )


def _cost(spent: Spent, rows: int) -> PurposeCost:
    return PurposeCost(
        calls=spent.calls,
        tokens=spent.tokens,
        known_tokens=spent.known_tokens,
        prompt_tokens=spent.prompt_tokens,
        cached_tokens=spent.cached_tokens if spent.with_cached else None,
        completion_tokens=spent.completion_tokens,
        usd=spent.cost_usd,
        known_usd=spent.known_cost_usd,
        calls_per_row=spent.calls / rows if rows else None,
        tokens_per_row=None if spent.tokens is None or not rows else spent.tokens / rows,
        usd_per_row=None if spent.cost_usd is None or not rows else spent.cost_usd / rows,
    )
