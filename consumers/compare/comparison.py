"""Runs side by side, each against the first: what a thousand kept instructions take, and how different they are.

Yield falls as a run grows, so runs of different length are not compared by their totals alone: `at_common` is what
each had taken when it had kept as many as the shortest of them has.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from consumers.compare.side import Point, Side, SideCurve, read_side
from infra.log.source import Source
from schemas.errors import ConfigurationError


class CostPerThousand(msgspec.Struct, frozen=True, kw_only=True):
    """What was generated and taken for so many kept, a thousand of them; and each over that of the first run.

    A ratio below 1 saves. None is not known, or nothing was kept, or the first run's is 0.
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

    spent         of the whole run; its calls, tokens and money are those of all answers, also of unfinished generations
    common_kept   kept instructions of the run that has the fewest
    at_common     when each run had that many: the first generation with which it had
    """

    sides: tuple[Side, ...]
    spent: tuple[CostPerThousand, ...]
    common_kept: int
    at_common: tuple[CostPerThousand, ...]


def compare(sources: Sequence[Source], progress: Callable[[int], None] = lambda _: None) -> Comparison:
    """Read each run once, one after the other.

    Raises ConfigurationError for fewer than two runs, RunError when one is not there.
    """
    if len(sources) < 2:
        raise ConfigurationError(f"{len(sources)} runs were given to compare; name two or more.")
    courses = [read_side(source, progress=progress) for source in sources]
    return comparison(_named(courses))


def comparison(courses: Sequence[SideCurve]) -> Comparison:
    """Of runs that were read."""
    common = min(course.side.kept for course in courses)
    return Comparison(
        sides=tuple(course.side for course in courses),
        spent=_against_first([_spent(_whole(course.side)) for course in courses]),
        common_kept=common,
        at_common=_against_first([_spent(_reaching(course, common)) for course in courses]),
    )


def _named(courses: Sequence[SideCurve]) -> list[SideCurve]:
    """Runs of one name, such as two archives of it, are told apart by a number."""
    seen: Counter[str] = Counter()
    named = []
    for course in courses:
        run = course.side.run
        seen[run] += 1
        name = run if seen[run] == 1 else f"{run} ({seen[run]})"
        named.append(SideCurve(msgspec.structs.replace(course.side, name=name), course.points))
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


def _reaching(course: SideCurve, kept: int) -> Point:
    nothing = Point(generated=0, kept=0, calls=0, tokens=0, usd=0.0)
    return (course.reaching(kept) if kept else None) or nothing


def _spent(point: Point) -> CostPerThousand:
    def each(amount: float | None) -> float | None:
        return None if amount is None or not point.kept else 1000 * amount / point.kept

    return CostPerThousand(
        kept=point.kept,
        generated=point.generated,
        calls=point.calls,
        tokens=point.tokens,
        usd=point.usd,
        calls_per_1000_kept=each(point.calls),
        tokens_per_1000_kept=each(point.tokens),
        usd_per_1000_kept=each(point.usd),
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
