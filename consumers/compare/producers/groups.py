"""The rows of a producer, a style or a strategy in numbers: what was kept of what, lengths, scores, and diversity.

Every mean has a bootstrapped interval over what was sampled: documents of the second producer, generations of the
first. Of more than `LARGEST_UNITS` units every n-th is used.
A value over `LARGEST_VALUE`, such as an infinite perplexity, would be all of a mean. Means leave it out and say of how
many rows; a median has it as the largest.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from statistics import median

import msgspec

from consumers.compare.producers.equal_samples import SampledDiversity, pool_of, sample_size, sampled_diversity
from consumers.compare.producers.rows import (
    Producer,
    ProducerGeneration,
    ProducerRow,
    ProducerRun,
    reasons_of,
    without_row,
)
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import ratio_interval
from schemas.segments import ALL_STRATEGIES, Strategy

LARGEST_UNITS = 20_000
LARGEST_VALUE = 1e100

Value = Callable[[ProducerRow], float | None]


class RowAverage(msgspec.Struct, frozen=True, kw_only=True):
    """Of the rows that have the value: how many they are, their mean with its interval, and their median.

    mean      without the infinite ones; None if all are
    median    with them; may be infinite, which is null in JSON
    infinite  rows whose value is over `LARGEST_VALUE`
    """

    rows: int
    mean: Interval | None
    median: float
    infinite: int = 0


class ProducerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The decided generations of a run from one producer, in one style or with one strategy.

    run                 its name in the comparison
    strategy            of the segments; None: all
    documents           that the generations' segments are from; 0 of the first producer
    generations         of the second producer: segments
    candidates          instructions of the generations
    kept_per_generation, kept_share   kept rows of the generations, of the candidates; None without any
    rejected            candidates by reason
    without_row         segments that gave no row, by the reason of the candidate that came furthest
    instruction_tokens, output_tokens   of the kept rows, as the run's similarity counts tokens
    perplexity, gain    of the kept rows' segments after their instruction; the gain in nats a token
    judged              score of the kept rows, by judge
    in_document         share of an output's tokens that stand in its document
    units               that the kept rows are of: documents, or generations of the first producer
    diversity           of the kept instructions at the same sample size as beside it; None: too few units
    """

    run: str
    producer: Producer
    style: str
    strategy: Strategy | None = None
    documents: int
    generations: int
    candidates: int
    kept: int
    kept_per_generation: float | None
    kept_share: float | None
    rejected: dict[str, int]
    without_row: dict[str, int]
    instruction_tokens: RowAverage | None
    output_tokens: RowAverage | None
    perplexity: RowAverage | None
    gain: RowAverage | None
    judged: dict[str, RowAverage]
    in_document: RowAverage | None
    units: int
    diversity: SampledDiversity | None

    @property
    def name(self) -> str:
        """What tells it from the others of its run."""
        return self.strategy or (self.producer if self.producer == "goliath" else f"{self.producer}/{self.style}")


class GroupRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows and generations of a group, before they are counted."""

    run: ProducerRun
    name: str
    producer: Producer
    style: str
    strategy: Strategy | None
    rows: tuple[ProducerRow, ...]
    generations: tuple[ProducerGeneration, ...]

    @property
    def units(self) -> int:
        """Documents or generations that the rows are of."""
        return len({row.unit for row in self.rows})


def by_producer(name: str, run: ProducerRun) -> list[GroupRows]:
    """A group for each style, the first producer's first; `name` is the run's in the comparison."""
    kinds = sorted({(one.producer == "goliath", one.style) for one in run.generations})
    return [_group_rows(run, name, "goliath" if second else "sedi", style, None) for second, style in kinds]


def by_strategy(name: str, run: ProducerRun) -> list[GroupRows]:
    """A group for each strategy that cut a segment of the run."""
    styles = {one.segment.strategy: one.style for one in run.generations if one.segment is not None}
    return [
        _group_rows(run, name, "goliath", styles[strategy], strategy)
        for strategy in ALL_STRATEGIES
        if strategy in styles
    ]


def groups(parts: Sequence[GroupRows], wanted: int | None) -> tuple[int | None, tuple[ProducerGroup, ...]]:
    """The rows of each sample, None where no group has enough; and the groups. `wanted` sets that number."""
    sample = sample_size([part.units for part in parts], wanted)
    return sample, tuple(_group(part, sample) for part in parts)


def average(rows: Iterable[ProducerRow], value: Value) -> RowAverage | None:
    """The mean and median of the rows' values; None if no row has one."""
    units: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (found := value(row)) is not None:
            units[row.unit].append(found)
    if not units:
        return None
    finite = [kept for found in units.values() if (kept := [one for one in found if abs(one) <= LARGEST_VALUE])]
    used = finite[:: max(1, -(-len(finite) // LARGEST_UNITS))]
    valued = sum(map(len, units.values()))
    return RowAverage(
        rows=valued,
        mean=ratio_interval([sum(one) for one in used], [float(len(one)) for one in used]) if used else None,
        median=median(chain.from_iterable(units.values())),
        infinite=valued - sum(map(len, finite)),
    )


def _group_rows(run: ProducerRun, name: str, producer: Producer, style: str, strategy: Strategy | None) -> GroupRows:
    return GroupRows(
        run=run,
        name=name,
        producer=producer,
        style=style,
        strategy=strategy,
        rows=tuple(
            row
            for row in run.rows
            if row.producer == producer and row.style == style and strategy in (None, row.strategy)
        ),
        generations=tuple(
            one
            for one in run.generations
            if one.producer == producer
            and one.style == style
            and (strategy is None or (one.segment is not None and one.segment.strategy == strategy))
        ),
    )


def _group(part: GroupRows, sample: int | None) -> ProducerGroup:
    rows, generations, run = part.rows, part.generations, part.run
    candidates = sum(one.candidates for one in generations)
    judges = sorted({judge for row in rows for judge in row.scores})
    judged = {judge: average(rows, partial(_score, judge)) for judge in judges}
    diversity = None
    if sample is not None and part.units >= 2 * sample:
        texts, clusters = [row.instruction for row in rows], [row.cluster for row in rows]
        pool = pool_of(texts, clusters, [row.unit for row in rows], run.tokenizer)
        diversity = sampled_diversity(pool, sample)
    return ProducerGroup(
        run=part.name,
        producer=part.producer,
        style=part.style,
        strategy=part.strategy,
        documents=len({one.segment.document_id for one in generations if one.segment is not None}),
        generations=len(generations),
        candidates=candidates,
        kept=len(rows),
        kept_per_generation=len(rows) / len(generations) if generations else None,
        kept_share=len(rows) / candidates if candidates else None,
        rejected=reasons_of(generations),
        without_row=without_row(generations),
        instruction_tokens=average(rows, lambda row: row.instruction_tokens),
        output_tokens=average(rows, lambda row: row.output_tokens),
        perplexity=average(rows, lambda row: row.perplexity),
        gain=average(rows, lambda row: row.gain),
        judged={judge: found for judge, found in judged.items() if found is not None},
        in_document=average(rows, lambda row: run.in_document.get(row.id)),
        units=part.units,
        diversity=diversity,
    )


def _score(judge: str, row: ProducerRow) -> float | None:
    return row.scores.get(judge)
