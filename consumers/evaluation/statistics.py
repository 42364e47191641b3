"""Intervals of shares and means, and means of parts.

Intervals are of 95 %. A share of right answers has Wilson's interval. Every other mean has a bootstrap over its units
(percentile method): the units are drawn again with replacement, `RESAMPLES` times, by a seeded generator, so the same
values in the same order give the same interval. The unit is what was sampled from a population: a prompt, a question,
a text; two readings of one prompt are one unit.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from consumers.evaluation.results import Interval

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
_TAILS = (2.5, 97.5)
_AT_ONCE = 4_000_000  # drawn places held in memory at a time


def share_interval(hits: float, of: float) -> Interval:
    """A share and its Wilson interval. `hits` may be a fraction, with ties as half. Raises ValueError of nothing.

    of   units; a fraction where it is an effective number of weighted ones
    """
    if of < 1 or not 0 <= hits <= of:
        raise ValueError(f"a share of {hits} of {of} is none; count at least one")
    share = hits / of
    width = 1 + _Z**2 / of
    middle = (share + _Z**2 / (2 * of)) / width
    half = _Z / width * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Interval(value=share, low=min(share, max(0.0, middle - half)), high=max(share, min(1.0, middle + half)))


def mean_interval(values: Sequence[float] | Floats, *, rng_seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of values, one a unit, with its bootstrapped interval. Raises ValueError without values."""
    return ratio_interval(values, np.ones(len(values)), rng_seed=rng_seed, resamples=resamples)


def ratio_interval(
    numerators: Sequence[float] | Floats,
    denominators: Sequence[float] | Floats,
    *,
    rng_seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The sum of numerators over that of denominators, both one a unit, with its bootstrapped interval.

    Such as the loss per token of texts of different lengths. Raises ValueError without units, for sequences of
    different lengths, and for a denominator that is not positive.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not len(above) or above.shape != below.shape or not (below > 0).all():
        raise ValueError("an interval needs one unit or more, and positive denominators, one for each numerator")
    ends = bootstrap(
        lambda drawn: above[drawn].sum(axis=1) / below[drawn].sum(axis=1),
        len(above),
        rng_seed=rng_seed,
        resamples=resamples,
    )
    return interval_of(float(above.sum() / below.sum()), ends)


def bootstrap(
    statistic: Callable[[npt.NDArray[np.intp]], Floats], units: int, *, rng_seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Low and high end of a statistic's interval.

    statistic   of drawn places of units, [draws, units] to [draws]; called with some of the draws at a time
    """
    rng = np.random.default_rng(rng_seed)
    at_once = max(1, _AT_ONCE // units)
    found = [
        statistic(rng.integers(units, size=(min(at_once, resamples - done), units)))
        for done in range(0, resamples, at_once)
    ]
    return ends(np.concatenate(found))


def ends(resampled: Floats) -> tuple[float, float]:
    """Low and high end of the interval of a statistic's values on resampled data, [draws]."""
    low, high = np.percentile(resampled, _TAILS)
    return float(low), float(high)


def interval_of(value: float, ends: tuple[float, float]) -> Interval:
    """A value with the interval between these ends, widened to the value if that is outside."""
    return Interval(value=value, low=min(ends[0], value), high=max(ends[1], value))


def logistic(odds: Floats) -> Floats:
    """The probability of log-odds."""
    return 0.5 * (1 + np.tanh(odds / 2))


def standard_error(values: Sequence[float] | Floats) -> float | None:
    """Of the mean: the sample's standard deviation over the square root of its size; None of fewer than two values."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return None
    deviations = (found.sum() / len(found) - found) ** 2
    return float(np.sqrt(deviations.sum() / (len(found) - 1)) / np.sqrt(len(found)))


def weighted_mean(parts: Iterable[tuple[float, float]]) -> float:
    """The mean of (size, mean) of parts, weighted by size: ARC is 1,172 challenge and 2,376 easy questions.

    Raises ValueError when the sizes add up to nothing.
    """
    given = tuple(parts)
    total = math.fsum(size for size, _ in given)
    if total <= 0:
        raise ValueError("a mean of parts needs a part with a size")
    return math.fsum(size * value for size, value in given) / total


def relative_gain(before: float, after: float) -> float:
    """How much larger `after` is, as a share of `before`. Raises ZeroDivisionError for none before."""
    return after / before - 1


def mean_relative_gain(before: Sequence[float], after: Sequence[float]) -> float:
    """The mean of the relative gains of several measures, each counting alike: the paper's "5.2 %" (Table 1).

    The gain of the measures' average is another number: from 46.1 to 46.9 it is 1.6 %.
    """
    gains = [relative_gain(*pair) for pair in zip(before, after, strict=True)]
    return math.fsum(gains) / len(gains)
