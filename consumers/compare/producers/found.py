"""The comparison of producers and strategies, over the runs that were read."""

from collections.abc import Sequence

import msgspec

from consumers.compare.producers.correlations import RankCorrelation, correlations
from consumers.compare.producers.equal_samples import LARGEST_SAMPLE
from consumers.compare.producers.extraction import ExtractionFinding, findings
from consumers.compare.producers.groups import ProducerGroup, by_producer, by_strategy, groups
from consumers.compare.producers.rows import ProducerRun
from schemas.errors import ConfigurationError

LEAST_SAMPLE = 10


class ProducerComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The producers, and the strategies of the second, over one run or several.

    producers      a group for each run and style
    strategies     a group for each run and strategy
    producer_sample, strategy_sample   rows of each sample that the groups' diversity is measured on; None: too few
    correlations   over the kept rows of documents, for each run and scorer
    extraction     against whole documents, over all runs
    """

    producers: tuple[ProducerGroup, ...]
    producer_sample: int | None
    strategies: tuple[ProducerGroup, ...]
    strategy_sample: int | None
    correlations: tuple[RankCorrelation, ...]
    extraction: tuple[ExtractionFinding, ...]


def compare_producers(runs: Sequence[tuple[str, ProducerRun]], sample: int | None = None) -> ProducerComparison | None:
    """The comparison of runs by their names in it; None if none of them has a segment.

    sample   rows of each sample; by default half of the documents of the smallest group that has enough

    Raises ConfigurationError for a sample that is not possible, or is given where no run has a segment.
    """
    check_sample(sample)
    second = [(name, run) for name, run in runs if run.has_segments]
    if not second:
        if sample is not None:
            raise ConfigurationError(
                "--sample is for the comparison of producers and strategies, and no run here has rows from documents. "
                "Leave it out, or add a run that has some."
            )
        return None
    producer_sample, producers = groups([part for one in runs for part in by_producer(*one)], sample)
    strategy_sample, strategies = groups([part for one in second for part in by_strategy(*one)], sample)
    rows = [row for _, run in second for row in run.rows if row.document_id is not None]
    return ProducerComparison(
        producers=producers,
        producer_sample=producer_sample,
        strategies=strategies,
        strategy_sample=strategy_sample,
        correlations=tuple(
            found
            for name, run in second
            for found in correlations(name, [row for row in run.rows if row.document_id is not None])
        ),
        extraction=tuple(findings(rows, second[0][1].tokenizer, clusters=len(second) == 1, sample=sample)),
    )


def check_sample(sample: int | None) -> None:
    """Raises ConfigurationError for samples of too few or too many rows."""
    if sample is not None and not LEAST_SAMPLE <= sample <= LARGEST_SAMPLE:
        raise ConfigurationError(
            f"--sample is {sample}; give {LEAST_SAMPLE} to {LARGEST_SAMPLE} rows, or leave it out for half of the "
            "documents of the smallest group."
        )
