"""Rank correlations (Spearman) over the kept rows of documents: of perplexity and gain with a judge's score, and with
each other.

The interval is a bootstrap over rows. A low perplexity is meant to be good, so its correlation with the score should be
negative, the gain's positive. Only kept rows are judged, so what the filter rejected has no part in it.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from consumers.compare.producers.rows import ProducerRow
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import Floats, bootstrap

LEAST_ROWS = 20
LARGEST = 5_000
"""Rows used; of more, every n-th."""


class RankCorrelation(msgspec.Struct, frozen=True, kw_only=True):
    """Spearman's rho of two values of the rows.

    second   `gain`, or `score` of `judge`
    rows     that have both
    rho      None: too few rows, or one of the values is the same in all
    words    what that means
    """

    first: str
    second: str
    judge: str | None
    rows: int
    rho: Interval | None
    words: str


def correlations(rows: Sequence[ProducerRow]) -> tuple[RankCorrelation, ...]:
    """Of perplexity with gain, then of each of them with each judge's score."""
    judges: list[str | None] = [*sorted({judge for row in rows for judge in row.scores})]
    found = [_correlation("perplexity", "gain", None, rows)]
    for judge in judges or [None]:
        found += [_correlation(first, "score", judge, rows) for first in ("perplexity", "gain")]
    return tuple(found)


def spearman(first: Sequence[float], second: Sequence[float], *, rng_seed: int = 0) -> Interval | None:
    """The rank correlation of pairs of values, with ties at their mean rank; None where one does not vary.

    A resample in which one does not vary counts as no correlation.
    """
    above, below = np.asarray(first, np.float64), np.asarray(second, np.float64)
    places = np.arange(len(above))[None, :]
    if len(above) < 2 or len(np.unique(above)) < 2 or len(np.unique(below)) < 2:
        return None
    value = float(_rho(above, below, places)[0])
    low, high = bootstrap(lambda drawn: _rho(above, below, drawn), len(above), rng_seed=rng_seed)
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _correlation(first: str, second: str, judge: str | None, rows: Iterable[ProducerRow]) -> RankCorrelation:
    values: dict[str, Callable[[ProducerRow], float | None]] = {
        "perplexity": lambda row: row.perplexity,
        "gain": lambda row: row.gain,
        "score": lambda row: None if judge is None else row.scores.get(judge),
    }
    pairs = [
        (one, other)
        for row in rows
        if (one := values[first](row)) is not None and (other := values[second](row)) is not None
    ]
    used = pairs[:: max(1, -(-len(pairs) // LARGEST))]
    rho = spearman(*zip(*used, strict=True)) if len(pairs) >= LEAST_ROWS else None
    return RankCorrelation(
        first=first, second=second, judge=judge, rows=len(pairs), rho=rho, words=_words(rho, len(pairs), second, judge)
    )


def _words(rho: Interval | None, rows: int, second: str, judge: str | None) -> str:
    if rho is None and second == "score" and judge is None:
        return "no row is judged; see `sedi judge`"
    if rho is None and rows < LEAST_ROWS:
        return f"too few rows: {rows:,} have both, {LEAST_ROWS} are needed"
    if rho is None:
        return "one of the two is the same in all rows"
    if rho.low > 0:
        return "rise together"
    return "one rises as the other falls" if rho.high < 0 else "no correlation shown"


def _rho(first: Floats, second: Floats, drawn: npt.NDArray[np.intp]) -> Floats:
    """Of drawn places, [draws, rows], the correlation of the ranks, [draws]."""
    from scipy.stats import rankdata

    ranks = [rankdata(values[drawn], axis=1) for values in (first, second)]
    one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    norms = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    found: Floats = np.divide((one * other).sum(axis=1), norms, out=np.zeros(len(norms)), where=norms > 0)
    return found
