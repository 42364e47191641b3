"""Runs side by side, each against the first: the cost of a thousand kept instructions, and their diversity.

Yield falls as a run grows, so totals alone would not compare runs of different length: `at_common` is the cost of each
run when it had kept as many as the shortest one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from consumers.compare.producers import ProducerComparison, compare_producers
from consumers.compare.producers.found import check_sample
from consumers.compare.side import Point, Side, SideCurve, read_side
from infra.log.source import Source
from schemas.errors import ConfigurationError


class CostPerThousand(msgspec.Struct, frozen=True, kw_only=True):
    """Generated instructions, calls, tokens and money for the kept ones, per thousand, and as ratio to the first run.

    A ratio below 1 saves. None: not known, nothing kept, or the first run's is 0.
    """

    kept: int
    generated: int
    calls: int
    tokens: int | None
    usd: float | None
    calls_per_1000_kept: float | None
    tokens_per_1000_kept: float | None
    usd_per_1000_kept: float | None
    calls_ratio: float | None = None
    tokens_ratio: float | None = None
    usd_ratio: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`spent` and `at_common` have an entry for each side, in their order; the first side's ratios are 1.

    spent         of the whole run: calls, tokens and money of all answers, also of unfinished generations
    common_kept   kept instructions of the run with the fewest
    at_common     at the first generation with which each run had that many
    producers     the producers and strategies, where a run has rows from documents
    """

    sides: tuple[Side, ...]
    spent: tuple[CostPerThousand, ...]
    common_kept: int
    at_common: tuple[CostPerThousand, ...]
    producers: ProducerComparison | None = None


def compare(
    sources: Sequence[Source], progress: Callable[[int], None] = lambda _: None, *, sample: int | None = None
) -> Comparison:
    """Read each run once, one after the other.

    sample   rows of each sample that the diversity of producers and strategies is measured on

    Raises ConfigurationError for fewer than two runs, unless it is one with rows from documents; RunError when there is
    no such run.
    """
    check_sample(sample)
    if not sources:
        raise ConfigurationError("0 runs were given to compare; name two or more.")
    curves = [read_side(source, progress=progress) for source in sources]
    if len(sources) == 1 and not curves[0].producers.has_segments:
        raise ConfigurationError("1 runs were given to compare, and it has no rows from documents; name two or more.")
    return comparison(_named(curves), sample)


def comparison(curves: Sequence[SideCurve], sample: int | None = None) -> Comparison:
    """The comparison of runs that were read."""
    common = min(curve.side.kept for curve in curves)
    return Comparison(
        sides=tuple(curve.side for curve in curves),
        spent=_against_first([_spent(_whole(curve.side)) for curve in curves]),
        common_kept=common,
        at_common=_against_first([_spent(_reaching(curve, common)) for curve in curves]),
        producers=compare_producers([(curve.side.name, curve.producers) for curve in curves], sample),
    )


def _named(curves: Sequence[SideCurve]) -> list[SideCurve]:
    """Runs of the same name, such as two archives of a run, get a number."""
    seen: Counter[str] = Counter()
    named = []
    for curve in curves:
        run = curve.side.run
        seen[run] += 1
        name = run if seen[run] == 1 else f"{run} ({seen[run]})"
        named.append(replace(curve, side=msgspec.structs.replace(curve.side, name=name)))
    return named


def _whole(side: Side) -> Point:
    known = side.prompt_tokens is not None and side.completion_tokens is not None
    return Point(
        generated=side.generated,
        kept=side.kept,
        calls=side.calls.answered,
        tokens=(side.prompt_tokens or 0) + (side.completion_tokens or 0) if known else None,
        usd=side.usd,
    )


def _reaching(curve: SideCurve, kept: int) -> Point:
    start = Point(generated=0, kept=0, calls=0, tokens=0, usd=0.0)
    return (curve.reaching(kept) if kept else None) or start


def _spent(point: Point) -> CostPerThousand:
    def per_1000(amount: float | None) -> float | None:
        return None if amount is None or not point.kept else 1000 * amount / point.kept

    return CostPerThousand(
        kept=point.kept,
        generated=point.generated,
        calls=point.calls,
        tokens=point.tokens,
        usd=point.usd,
        calls_per_1000_kept=per_1000(point.calls),
        tokens_per_1000_kept=per_1000(point.tokens),
        usd_per_1000_kept=per_1000(point.usd),
    )


def _against_first(spent: Sequence[CostPerThousand]) -> tuple[CostPerThousand, ...]:
    first = spent[0]
    return tuple(
        msgspec.structs.replace(
            one,
            calls_ratio=_ratio(one.calls_per_1000_kept, first.calls_per_1000_kept),
            tokens_ratio=_ratio(one.tokens_per_1000_kept, first.tokens_per_1000_kept),
            usd_ratio=_ratio(one.usd_per_1000_kept, first.usd_per_1000_kept),
        )
        for one in spent
    )


def _ratio(one: float | None, first: float | None) -> float | None:
    return None if one is None or not first else one / first
