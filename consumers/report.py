"""The report of a run: its numbers and cost by the log alone, and whether its books are in order.

It is a snapshot, also of a running run. `accounted` means that kept and rejected equal generated record by record: each
instruction of each decided generation has exactly one verdict, and the filter's own totals agree.
"""

from itertools import islice
from pathlib import Path

import msgspec

from consumers.folds.counts import RunCounts, counts_of
from consumers.folds.judgements import JudgementCounts, judgement_counts
from consumers.folds.read_fold import read_fold
from consumers.folds.run_fold import RunFold
from consumers.folds.spending import Purpose, Saving, Spent
from consumers.folds.verdicts import BookkeepingProblem
from consumers.seed_table import SeedRow, seed_rows
from consumers.trainer.record.metrics import METRICS, HeldOutLine, read_metrics
from infra.log.source import Source

_PROBLEMS_SHOWN = 5


class Report(RunCounts, frozen=True, kw_only=True):
    """One run.

    duplicates     events dropped as repeats, by topic
    unreadable     records that do not decode, by topic
    spent          what the answers on the log were for
    saving         what answering kept instructions alone saves, or would have; None where they are asked for at once
    judged         the judges' scores of the kept rows
    held_out       losses on held-out rows, from the folder of a training of the run; they are not on the log
    unaccounted    instructions without exactly one verdict, and other faults of the books; the first few
    """

    duplicates: dict[str, int]
    unreadable: dict[str, int]
    spent: dict[Purpose, Spent]
    saving: Saving | None
    judged: tuple[JudgementCounts, ...] = ()
    held_out: tuple[HeldOutLine, ...] = ()
    accounted: bool
    unaccounted: int
    unaccounted_first: tuple[BookkeepingProblem, ...]
    seeds: tuple[SeedRow, ...] | msgspec.UnsetType = msgspec.UNSET


def report(source: Source, *, seeds: bool = False) -> Report:
    """The report of a run, with a row for each seed if `seeds`. Raises RunError when there is no such run."""
    return report_of(read_fold(source), seeds=seeds)


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
    return Report(
        **msgspec.structs.asdict(counts_of(fold)),
        duplicates=dict(sorted(fold.dropped.items())),
        unreadable=dict(sorted(fold.unreadable.items())),
        spent={purpose: spent for purpose, spent in fold.spending.spent.items() if spent.calls},
        saving=fold.spending.saving(),
        judged=judgement_counts(fold),
        accounted=unaccounted == 0,
        unaccounted=unaccounted,
        unaccounted_first=first,
        seeds=seed_rows(fold) if seeds else msgspec.UNSET,
    )
