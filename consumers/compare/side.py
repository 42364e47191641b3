"""One run of a comparison, read in one pass.

Memory holds the run's fold (`consumers.folds.run_fold`), some numbers for each generation, and the texts of the kept
instructions. As in the report, the log is deduplicated, and undecided generations do not count. A sum with an unknown
part is None (`streams.core.spent`). A run with rows from documents is read again, for their outputs and documents.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
import polars as pl

from consumers.compare.diversity import Diversity, diversity
from consumers.compare.producers.document_share import shares
from consumers.compare.producers.rows import ProducerFold, ProducerRun, fold_for
from consumers.folds.counts import CallCounts, counts_of
from consumers.folds.run_fold import RunFold
from infra.log.record import Record
from infra.log.run import configuration
from infra.log.source import TOPICS, Source
from schemas.events import InstructionAnswered, InstructionKept, InstructionsGenerated
from schemas.policy import Mode
from streams.core.scores import SeedScore
from streams.core.similarity.tokenize import tokenizer
from streams.core.spent import Spent

_POINTS = 200
_CURVE = {"generated": pl.Int64, "kept": pl.Int64, "calls": pl.Int64, "tokens": pl.Int64, "usd": pl.Float64}


class Point(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Sums up to and with a generation. `calls` are answered calls; tokens are prompt and completion together."""

    generated: int
    kept: int
    calls: int
    tokens: int | None
    usd: float | None


class ScoredSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that was shown, with its score: kept / generated of those that count (`streams.core.scores`)."""

    id: str
    instruction: str
    generated: int
    kept: int
    score: float
    in_pool: bool


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    name           its name in the comparison: the run's, with a number where two are equal
    calls          attempts by how they ended; `answered` ones are compared
    prompt_tokens, completion_tokens, usd   of all answers and failed calls (`streams.core.spent`)
    cached_tokens  of the prompt tokens; None when no answer reports them
    after_replacement_share   share of generations that sampled a pool in which training had replaced a seed
    curve          some 200 points over the run, with the last one
    seeds          those with a score, lowest first; equal ones by id
    """

    name: str
    run: str
    source: str
    mode: Mode
    threshold: float
    feedback: bool
    generations: int
    after_replacement_share: float | None
    generated: int
    kept: int
    kept_share: float | None = msgspec.field(name="yield")
    calls: CallCounts
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    rejected: dict[str, int]
    unparsed: dict[str, int]
    clusters: tuple[int, ...]
    diversity: Diversity
    seeds: tuple[ScoredSeed, ...]
    curve: tuple[Point, ...]


@dataclass
class SideFold:
    """The state of one pass over a run.

    spent   by offset of `generated`: what the answers of the generation took, with those to its kept rows where these
            are asked for apart
    texts   (generated_offset, place, instruction) of the kept rows
    """

    fold: RunFold
    producers: ProducerFold
    spent: dict[int, Spent] = field(default_factory=dict)
    texts: list[tuple[int, int, str]] = field(default_factory=list)

    def apply(self, record: Record) -> None:
        fresh = self.fold.apply(record)
        event = None if record.decoded is None else record.decoded.event
        self.producers.apply(event, record.offset)
        if isinstance(event, InstructionsGenerated):
            self._spent(record.offset).add_answers(event.answers)
        elif fresh and isinstance(event, InstructionAnswered):
            self._spent(event.row.generated_offset).add_answers(event.answers)
        elif fresh and isinstance(event, InstructionKept):
            self.texts.append((event.generated_offset, event.place, event.instruction))

    def curve(self) -> pl.DataFrame:
        """A row for each decided generation, with the fields of a `Point` as columns."""
        verdicts = self.fold.verdicts
        decided = [
            (totals.generated, totals.kept, spent.calls, spent.tokens, spent.cost_usd)
            for offset in sorted(verdicts.generations)
            if (totals := verdicts.totals.get(offset)) is not None
            for spent in [self._spent(offset)]
        ]
        return pl.DataFrame(decided, schema=_CURVE, orient="row").select(_running_sum(name) for name in _CURVE)

    def _spent(self, offset: int) -> Spent:
        return self.spent.setdefault(offset, Spent())


def read_side(source: Source, name: str | None = None, progress: Callable[[int], None] = lambda _: None) -> "SideCurve":
    """Read a run. `progress` is called for each thousand records. Raises RunError when there is no such run."""
    configured, _ = configuration(source)
    read = SideFold(RunFold(configured), fold_for(configured.policy.tokenizer))
    with source.open(TOPICS) as reading:
        for number, record in enumerate(reading.rest(), start=1):
            read.apply(record)
            if number % 1000 == 0:
                progress(1000)
    fold, policy = read.fold, configured.policy
    counts = counts_of(fold)
    texts = [text for offset, _, text in sorted(read.texts) if offset <= fold.verdicts.decided_offset]
    points = read.curve()
    side = Side(
        name=name or configured.run,
        run=configured.run,
        source=source.name,
        mode=policy.mode,
        threshold=policy.threshold,
        feedback=policy.feedback,
        generations=counts.generations,
        after_replacement_share=counts.after_replacement_share,
        generated=counts.generated - counts.undecided,
        kept=counts.kept,
        kept_share=counts.kept_share,
        calls=counts.calls,
        prompt_tokens=None if fold.ledger.tokens is None else fold.ledger.prompt_tokens,
        cached_tokens=counts.tokens.cached,
        completion_tokens=None if fold.ledger.tokens is None else fold.ledger.completion_tokens,
        usd=counts.cost.usd,
        rejected=counts.rejected,
        unparsed=counts.unparsed,
        clusters=counts.clusters,
        diversity=diversity(texts, counts.clusters, tokenizer(policy.tokenizer)),
        seeds=_seeds(fold),
        curve=_thinned(points),
    )
    producers = read.producers.finish(fold)
    if producers.has_segments:
        producers = replace(producers, in_document=shares(source, producers.rows, producers.tokenizer))
    return SideCurve(side, points, producers)


@dataclass(frozen=True)
class SideCurve:
    """A side, its curve with every `Point` as a row, and its rows by producer."""

    side: Side
    points: pl.DataFrame
    producers: ProducerRun

    def reaching(self, kept: int) -> Point | None:
        """The first point with at least so many kept; None when there is none."""
        found = self.points.filter(pl.col("kept") >= kept).head(1)
        return Point(**found.row(0, named=True)) if len(found) else None


def _running_sum(column: str) -> pl.Expr:
    """The sum up to each row; null from the first unknown value on."""
    return pl.when(pl.col(column).is_null().cum_sum() == 0).then(pl.col(column).cum_sum()).alias(column)


def _thinned(points: pl.DataFrame) -> tuple[Point, ...]:
    step = max(1, -(-len(points) // _POINTS))
    chosen = points.gather_every(step, offset=step - 1)
    if len(points) % step:
        chosen = chosen.vstack(points.tail(1))
    return tuple(Point(**row) for row in chosen.iter_rows(named=True))


def _seeds(fold: RunFold) -> tuple[ScoredSeed, ...]:
    tasks = {seed.task.id: (seed.task, True) for seed in fold.pool.active}
    tasks |= {id: (evicted.seed.task, False) for id, evicted in fold.pool.evicted.items() if id not in tasks}
    rows = []
    for id, (task, in_pool) in tasks.items():
        score = fold.verdicts.scores.get(id, SeedScore())
        if score.value is not None:
            rows.append(
                ScoredSeed(
                    id=id,
                    instruction=task.instruction,
                    generated=score.generated,
                    kept=score.kept,
                    score=score.value,
                    in_pool=in_pool,
                )
            )
    return tuple(sorted(rows, key=lambda row: (row.score, row.id)))
