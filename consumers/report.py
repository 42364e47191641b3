"""What a run did, what it made and what it cost: numbers from the log alone, and whether its books are in order.

A snapshot, also of a run that goes on. `accounted` says that kept and rejected equal generated record by record: each
instruction of each generation that the filter is done with has exactly one verdict, and the filter's own totals agree.
"""

from itertools import islice

import msgspec

from consumers.counts import Counts, counts_of
from consumers.fold import RunFold
from consumers.reading import read_fold
from consumers.seed_table import SeedRow, seed_rows
from consumers.verdicts import Problem
from infra.source import Source

_PROBLEMS_SHOWN = 5


class Report(Counts, frozen=True, kw_only=True):
    """One run.

    duplicates     events dropped because they stood twice, by topic
    unreadable     records that do not decode, by topic
    unaccounted    instructions without exactly one verdict, and other faults of the books; the first few
    """

    duplicates: dict[str, int]
    unreadable: dict[str, int]
    accounted: bool
    unaccounted: int
    unaccounted_first: tuple[Problem, ...]
    seeds: tuple[SeedRow, ...] | msgspec.UnsetType = msgspec.UNSET


def report(source: Source, *, seeds: bool = False) -> Report:
    """The report of a run as it is now, with a row a seed if `seeds`. Raises RunError when there is no such run."""
    return report_of(read_fold(source), seeds=seeds)


def report_of(fold: RunFold, *, seeds: bool = False) -> Report:
    """The report of a fold that was read effects first (`consumers.reading`)."""
    problems = fold.verdicts.problems()
    first = tuple(islice(problems, _PROBLEMS_SHOWN))
    unaccounted = len(first) + sum(1 for _ in problems)
    return Report(
        **msgspec.structs.asdict(counts_of(fold)),
        duplicates=dict(sorted(fold.dropped.items())),
        unreadable=dict(sorted(fold.unreadable.items())),
        accounted=unaccounted == 0,
        unaccounted=unaccounted,
        unaccounted_first=first,
        seeds=seed_rows(fold) if seeds else msgspec.UNSET,
    )
