"""Rank correlations (Spearman) over the kept rows of documents: of perplexity and gain with a judge's score, and with
each other; one for each run and each model that scored its segments, as perplexities of two models do not compare.

Rows of one document are not independent, so the interval is a bootstrap over documents: all rows of a drawn one count,
as often as it is drawn. A low perplexity is meant to be good, so its correlation with the score should be negative, the
gain's positive. Only kept rows are judged, so what the filter rejected has no part in it. An infinite perplexity ranks
above all others.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from consumers.compare.producers.equal_samples import LEAST_UNITS
from consumers.compare.producers.rows import ProducerRow
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import Floats, bootstrap
from schemas.segments import Scorer

LARGEST = 5_000
"""Rows used; of more, those of every n-th document."""

_AT_ONCE = 1_000_000  # weights of rows held in memory at a time


class RankCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """Spearman's rho of two values of a run's rows.

    run        its name in the comparison
    scorer     the model that the perplexity and the gain are of; None: no row of the run is scored
    second     `gain`, or `score` of `judge`
    rows       that have both
    documents  that these are of
    rho        None: too few documents, or one of the values is the same in all
    words      what that means
    """

    run: str
    scorer: Scorer | None
    first: str
    second: str
    judge: str | None
    rows: int
    documents: int
    rho: Interval | None
    words: str


def correlations(run: str, rows: Sequence[ProducerRow]) -> list[RankCorrelation]:
    """For each scorer of a run's rows: of perplexity with gain, then of each of them with each judge's score."""
    judges: list[str | None] = [*sorted({judge for row in rows for judge in row.scores})]
    scorers: list[Scorer | None] = [*dict.fromkeys(row.scorer for row in rows if row.scorer is not None)]
    found = []
    for scorer in scorers or [None]:
        scored = [row for row in rows if row.scorer == scorer]
        found.append(_correlation(run, scorer, "perplexity", "gain", None, scored))
        for judge in judges or [None]:
            found += [_correlation(run, scorer, first, "score", judge, scored) for first in ("perplexity", "gain")]
    return found


def spearman(
    first: Sequence[float], second: Sequence[float], units: Sequence[str], *, rng_seed: int = 0
) -> Interval | None:
    """The rank correlation of pairs of values, with ties at their mean rank; None where one does not vary.

    units   what each pair was sampled with; the bootstrap is over these

    A resample in which one value does not vary counts as no correlation.
    """
    above, below = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(above) < 2 or len(np.unique(above)) < 2 or len(np.unique(below)) < 2:
        return None
    names, unit_of = np.unique(np.asarray(units), return_inverse=True)

    def resampled(drawn: npt.NDArray[np.intp]) -> Floats:
        times = np.array([np.bincount(one, minlength=len(names)) for one in drawn], np.float64)
        parts = np.array_split(times, -(-len(times) * len(above) // _AT_ONCE))
        return np.concatenate([_rho(above, below, part[:, unit_of]) for part in parts])

    value = float(_rho(above, below, np.ones((1, len(above))))[0])
    low, high = bootstrap(resampled, len(names), rng_seed=rng_seed)
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _correlation(
    run: str, scorer: Scorer | None, first: str, second: str, judge: str | None, rows: Sequence[ProducerRow]
) -> RankCorrelation:
    values: dict[str, Callable[[ProducerRow], float | None]] = {
        "perplexity": lambda row: row.perplexity,
        "gain": lambda row: row.gain,
        "score": lambda row: None if judge is None else row.scores.get(judge),
    }
    found = [
        (one, other, row.unit)
        for row in rows
        if (one := values[first](row)) is not None and (other := values[second](row)) is not None
    ]
    units = [*dict.fromkeys(unit for _, _, unit in found)]
    used = set(units[:: max(1, -(-len(found) // LARGEST))])
    enough = len(units) >= LEAST_UNITS
    rho = spearman(*zip(*(one for one in found if one[2] in used), strict=True)) if enough else None
    return RankCorrelation(
        run=run,
        scorer=scorer,
        first=first,
        second=second,
        judge=judge,
        rows=len(found),
        documents=len(units),
        rho=rho,
        words=_words(rho, len(units), scorer, second, judge),
    )


def _words(rho: Interval | None, documents: int, scorer: Scorer | None, second: str, judge: str | None) -> str:
    if rho is None and scorer is None:
        return "no row is scored"
    if rho is None and second == "score" and judge is None:
        return "no row is judged; see `sedi judge`"
    if rho is None and documents < LEAST_UNITS:
        return f"too few documents: {documents:,} have rows with both, {LEAST_UNITS} are needed"
    if rho is None:
        return "one of the two is the same in all rows"
    if rho.low > 0:
        return "rise together"
    return "one rises as the other falls" if rho.high < 0 else "no correlation shown"


def _rho(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Of rows that count so many times, [draws, rows], the correlation of the ranks, [draws]."""
    total = weights.sum(axis=1, keepdims=True)
    ranks = (_ranks(values, weights) for values in (first, second))
    one, other = (rank - (weights * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    norms = np.sqrt((weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1))
    found: Floats = np.divide((weights * one * other).sum(axis=1), norms, out=np.zeros(len(norms)), where=norms > 0)
    return found


def _ranks(values: Floats, weights: Floats) -> Floats:
    """The mean rank of each row's value, less a half, [draws, rows]."""
    distinct, tie_of = np.unique(values, return_inverse=True)
    order = np.argsort(tie_of, kind="stable")
    starts = np.searchsorted(tie_of[order], np.arange(len(distinct)))
    ties: Floats = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(ties, axis=1) - ties / 2)[:, tie_of]
    return ranks
