"""The yield curve: points as the report counts them, and a fit that finds the curve that the points were drawn from."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from consumers.folds.counts import counts_of
from consumers.folds.run_fold import RunFold
from consumers.folds.yield_curve import YieldPoint, blocks_of, fit_yield, points_of, reaching
from infra.log.run import configuration
from infra.log.source import TOPICS
from schemas.errors import RunError
from tests.unit.consumers.recorded_run import source_of, whole_run

LIST = 7


def test_points_add_up_to_the_report() -> None:
    source = source_of(whole_run())
    fold = RunFold(configuration(source)[0])
    with source.open(TOPICS) as reading:
        for record in reading.rest():
            fold.apply(record)
    counts = counts_of(fold)
    points = points_of(source)
    assert len(points) == len(fold.verdicts.totals)
    assert (points[-1].kept, points[-1].generated) == (counts.kept, counts.generated - counts.undecided)
    assert points == sorted(points, key=lambda point: (point.generated, point.kept, point.calls))


@pytest.mark.parametrize(
    ("form", "level", "true_yield"),
    [
        ("hyperbolic", 0.9, lambda kept: 0.9 / (1 + kept / 4000)),
        ("exponential", 0.8, lambda kept: 0.8 * math.exp(-kept / 5000)),
    ],
)
def test_a_fit_finds_the_curve_and_extrapolates_it(form: str, level: float, true_yield: Callable[[int], float]) -> None:
    run = drawn(true_yield, to=5000)
    needed = sum(1 / true_yield(kept) for kept in range(3000, 10_000))
    fit = fit_yield([point for point in run if point.kept <= 3000], run)
    assert fit.form == form, fit.held_out
    assert fit.level == pytest.approx(level, rel=0.05)
    assert fit.candidates_to(3000, 10_000) == pytest.approx(needed, rel=0.08)
    low, high = fit.interval(3000, 10_000)
    assert low < fit.candidates_to(3000, 10_000) < high < 1.5 * low
    assert fit.calls_to(0, 5000) == pytest.approx(run[-1].calls, rel=0.03)
    assert fit.tokens_to(0, 5000) == pytest.approx(100 * run[-1].calls, rel=0.03)
    beyond = fit.candidates_to(0, 3000) + fit.candidates_to(3000, 10_000)
    assert fit.candidates_to(0, 10_000) == pytest.approx(beyond)


def test_a_handful_of_generations_takes_the_fall_from_another_fit() -> None:
    long_run = fit_yield(drawn(lambda kept: 0.9 / (1 + kept / 4000), to=5000))
    few = [YieldPoint(kept, generated, kept, None) for kept, generated in ((1000, 0), (1004, 7), (1008, 14))]
    alone, like = fit_yield(few), fit_yield(few, like=long_run)
    assert alone.form == "constant"
    assert alone.yield_at(9000) == pytest.approx(8 / 14)
    assert like.yield_at(1004) == pytest.approx(8 / 14)
    assert like.yield_at(9000) < 0.5 * like.yield_at(1004)
    assert like.candidates_to(1008, 10_000) > 1.5 * alone.candidates_to(1008, 10_000)
    assert like.tokens_to(1008, 10_000) is None
    with pytest.raises(RunError, match="Let the run keep"):
        fit_yield([YieldPoint(0, 7, 1, 100)])


def test_blocks_cover_all_generations() -> None:
    run = drawn(lambda kept: 0.5, to=500)
    blocks = blocks_of(run)
    assert len(blocks) <= 60
    assert sum(block.generated for block in blocks) == run[-1].generated
    assert blocks[0].kept_from == 0
    assert blocks[-1].kept_to == run[-1].kept
    reached = reaching(run, 300)
    assert reached is not None and 300 <= reached.kept < 300 + LIST
    assert reaching(run, 501 + LIST) is None


def drawn(share: Callable[[int], float], to: int, rng_seed: int = 1) -> list[YieldPoint]:
    """Points of lists of seven, each instruction of which is kept with this probability."""
    rng = np.random.default_rng(rng_seed)
    points = [YieldPoint(0, 0, 0, 0)]
    while points[-1].kept < to:
        last = points[-1]
        kept = last.kept + int(rng.binomial(LIST, share(last.kept)))
        points.append(YieldPoint(kept, last.generated + LIST, last.calls + 1, 100 * (last.calls + 1)))
    return points
