"""How the yield falls as a run grows: measured from its log, fitted, and extrapolated.

The more is kept, the more of what comes next is similar to it. So the yield is a function of the kept instructions,
`y(k)`, and going from `k0` to `k1` kept takes the integral of `1 / y` candidates (generated instructions).

`fit_yield` fits falling forms (`consumers.folds.yield_forms`) to blocks of generations and takes the one that predicts
the last fifth of the generations best from those before. The interval is a bootstrap over the blocks, because
instructions of one list resemble each other. It knows nothing of what differs from run to run, nor of a wrong form:
`by_form` has the others, to see how far they part.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from consumers.folds.verdicts import VerdictFold
from consumers.folds.yield_forms import FALLING, GRID, BlockTable, Form, candidates, shape
from infra.log.run import configuration
from infra.log.source import Source
from schemas.errors import RunError
from schemas.events import InstructionsGenerated, InstructionsRejected
from streams.core.spent import Spent

_BLOCKS = 60  # of a run, at most
_FEWEST_BLOCKS = 10  # of all runs together, to tell one form from another
_HELD_OUT = 0.2


class YieldPoint(msgspec.Struct, frozen=True, array_like=True):
    """Sums up to and with a decided generation.

    calls    answered calls of the generations; answers that are asked for apart (`answer=kept`) are not among them
    tokens   of these calls, prompts included; None once a call's number is unknown
    """

    kept: int
    generated: int
    calls: int
    tokens: int | None


ORIGIN = YieldPoint(0, 0, 0, 0)


@dataclass(frozen=True)
class YieldBlock:
    """Generations in a row: `generated` instructions led from `kept_from` to `kept_to` kept."""

    kept_from: int
    kept_to: int
    generated: int

    @property
    def share(self) -> float:
        """The yield of the block."""
        return (self.kept_to - self.kept_from) / self.generated


class PointSums:
    """Sums up points, generation by generation."""

    def __init__(self) -> None:
        self.points: list[YieldPoint] = []

    def add(self, event: InstructionsGenerated, kept: int) -> None:
        """Take a decided generation into account, of whose instructions so many were kept."""
        self.add_counts(len(event.instructions), kept, *_spent(event))

    def add_counts(self, generated: int, kept: int, calls: int, tokens: int | None) -> None:
        last = self.points[-1] if self.points else ORIGIN
        unknown = tokens is None or last.tokens is None
        self.points.append(
            YieldPoint(
                kept=last.kept + kept,
                generated=last.generated + generated,
                calls=last.calls + calls,
                tokens=None if unknown else (last.tokens or 0) + (tokens or 0),
            )
        )


def points_of(source: Source) -> list[YieldPoint]:
    """A point for each decided generation of a run, in order; repeats are left out.

    Raises RunError when there is no such run.
    """
    configured, _ = configuration(source)
    verdicts = VerdictFold(configured.policy)
    spent: dict[int, tuple[int, int | None]] = {}
    with source.open(("generated", "rejected")) as reading:
        for record in reading.rest():
            event = record.event
            if isinstance(event, InstructionsGenerated):
                spent[record.offset] = _spent(event)
                verdicts.generated(event, record.id, record.offset)
            elif isinstance(event, InstructionsRejected):
                verdicts.reject(event)
            elif record.topic == "generated":
                verdicts.unreadable(record.offset)
    sums = PointSums()
    for offset in sorted(verdicts.generations):
        if (totals := verdicts.totals.get(offset)) is not None:
            sums.add_counts(totals.generated, totals.kept, *spent[offset])
    return sums.points


def blocks_of(points: Sequence[YieldPoint], most: int = _BLOCKS) -> list[YieldBlock]:
    """Points as at most so many blocks of as many generations each; those without an instruction are left out.

    A first point with `generated` 0 says at how many kept the points begin; otherwise they begin at none.
    """
    every = max(1, math.ceil(len(points) / most))
    return [
        YieldBlock(before.kept, after.kept, after.generated - before.generated)
        for before, after in pairwise([_first(points), *_every(points, every)])
        if after.generated > before.generated
    ]


def reaching(points: Sequence[YieldPoint], kept: int) -> YieldPoint | None:
    """The first point with at least so many kept; None when there is none."""
    return next((point for point in points if point.kept >= kept), None)


@dataclass(frozen=True)
class Fit:
    """A fitted yield.

    form                   the form that was taken
    level, slope           its `a` and `θ`
    by_form                `a` and `θ` of all the forms that were tried
    held_out               for each of these, (predicted - needed) / needed candidates of the last fifth; empty when
                           there was too little to hold some out
    fitted_to              kept instructions of the longest run; beyond, it is extrapolated
    calls_per_candidate    answered calls of generations for each generated instruction
    tokens_per_candidate   None when a call's tokens are unknown
    draws                  `a` and `θ` of the bootstrap
    """

    form: Form
    level: float
    slope: float
    by_form: Mapping[Form, tuple[float, float]]
    held_out: Mapping[Form, float]
    fitted_to: int
    calls_per_candidate: float
    tokens_per_candidate: float | None
    draws: tuple[tuple[float, float], ...]

    def yield_at(self, kept: float) -> float:
        """The share of the next candidates that is kept when so many are."""
        return self.level * float(shape(self.form, np.float64(kept), np.float64(self.slope)))

    def candidates_to(self, kept_from: int, kept_to: int, form: Form | None = None) -> float:
        """Instructions to generate to get from so many kept to so many; by another of the forms, when it is given."""
        level, slope = (self.level, self.slope) if form is None else self.by_form[form]
        return candidates(form or self.form, level, slope, kept_from, kept_to)

    def calls_to(self, kept_from: int, kept_to: int) -> float:
        """Answered calls that this takes, without answers that are asked for apart."""
        return self.calls_per_candidate * self.candidates_to(kept_from, kept_to)

    def tokens_to(self, kept_from: int, kept_to: int) -> float | None:
        """Tokens of these calls; None when they are unknown."""
        each = self.tokens_per_candidate
        return None if each is None else each * self.candidates_to(kept_from, kept_to)

    def interval(self, kept_from: int, kept_to: int, level: float = 0.9) -> tuple[float, float]:
        """The candidates' interval: of calls or tokens it is as wide, relative to them."""
        found = [candidates(self.form, a, slope, kept_from, kept_to) for a, slope in self.draws]
        low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def fit_yield(*runs: Sequence[YieldPoint], like: Fit | None = None) -> Fit:
    """Fit one yield to the points of one or more runs.

    like   take the form and its `θ` from this fit, and fit the level alone: for a handful of generations, too few to
           show how the yield falls

    Without `like` and with fewer than ten blocks the form is `constant`. Raises RunError when nothing was kept.
    """
    by_run = [blocks_of(points) for points in runs]
    all_blocks = [block for blocks in by_run for block in blocks]
    if not any(block.kept_to > block.kept_from for block in all_blocks):
        raise RunError("Nothing was kept, so a yield cannot be fitted. Let the run keep some instructions first.")
    held_out: dict[Form, float] = {}
    if like is not None:
        form, grids = like.form, {like.form: np.array([like.slope])}
    elif len(all_blocks) < _FEWEST_BLOCKS:
        form, grids = "constant", {"constant": GRID["constant"]}
    else:
        grids = {each: GRID[each] for each in FALLING}
        held_out = {each: _held_out_error(by_run, each) for each in FALLING}
        form = min(FALLING, key=lambda each: abs(held_out[each]))
    table = _table(all_blocks)
    by_form = {each: table.fit(each, grid) for each, grid in grids.items()}
    level, slope = by_form[form]
    generated = sum(points[-1].generated for points in runs if points)
    tokens = [points[-1].tokens for points in runs if points]
    return Fit(
        form=form,
        level=level,
        slope=slope,
        by_form=by_form,
        held_out=held_out,
        fitted_to=max(block.kept_to for block in all_blocks),
        calls_per_candidate=sum(points[-1].calls for points in runs if points) / generated,
        tokens_per_candidate=None if None in tokens else sum(each or 0 for each in tokens) / generated,
        draws=table.draws(form, grids[form], (level, slope)),
    )


def _held_out_error(by_run: Sequence[Sequence[YieldBlock]], form: Form) -> float:
    """(predicted - needed) / needed candidates of each run's last fifth, by the fit to those before."""
    ends = [len(blocks) - max(1, round(_HELD_OUT * len(blocks))) for blocks in by_run]
    before = [block for blocks, end in zip(by_run, ends, strict=True) for block in blocks[: max(0, end)]]
    level, slope = _table(before).fit(form, GRID[form])
    held_out = [blocks[end:] for blocks, end in zip(by_run, ends, strict=True) if blocks]
    needed = sum(block.generated for blocks in held_out for block in blocks)
    spans = ((blocks[0].kept_from, blocks[-1].kept_to) for blocks in held_out)
    return sum(candidates(form, level, slope, *span) for span in spans) / needed - 1.0


def _table(blocks: Sequence[YieldBlock]) -> BlockTable:
    return BlockTable(
        kept=np.array([(block.kept_from + block.kept_to) / 2 for block in blocks]),
        generated=np.array([float(block.generated) for block in blocks]),
        shares=np.array([block.share for block in blocks]),
    )


def _first(points: Sequence[YieldPoint]) -> YieldPoint:
    return points[0] if points and not points[0].generated else ORIGIN


def _every(points: Sequence[YieldPoint], every: int) -> Iterator[YieldPoint]:
    for at in range(every - 1, len(points), every):
        yield points[at]
    if len(points) % every:
        yield points[-1]


def _spent(event: InstructionsGenerated) -> tuple[int, int | None]:
    """Answered calls of a generation and their tokens."""
    spent = Spent()
    spent.add_answers(event.answers)
    return spent.calls, spent.tokens
