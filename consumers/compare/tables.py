"""A comparison as tables of text, for the terminal and for the page."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from consumers.compare.comparison import Comparison, CostPerThousand
from consumers.compare.producers.tables import producer_tables
from consumers.compare.side import ScoredSeed, Side
from consumers.html_page import Table

_SEEDS = 3
_PAIRS = 10
_T = TypeVar("_T")


def tables(found: Comparison) -> list[Table]:
    """All tables, the most important first; of one run those by producer and strategy."""
    producers = [] if found.producers is None else producer_tables(found.producers)
    if len(found.sides) == 1:
        return producers
    runs = tuple(f"#{side.name}" for side in found.sides)
    overall = [
        Table(f"Cost until {found.common_kept:,} were kept", ("", *runs), _spent(found.at_common)),
        Table("The whole runs", ("", *runs), _whole(found)),
        Table("Diversity of the kept", ("", *runs), _diversity(found)),
        Table("Rejected, as share of generated", ("reason", *runs), _rejected(found)),
    ]
    pairs = [_pairs(side) for side in found.sides if side.diversity.words.most]
    return overall + producers + pairs + [_seeds(side) for side in found.sides if side.seeds]


def _rows(items: Iterable[_T], cells: Mapping[str, Callable[[_T], str]]) -> tuple[tuple[str, ...], ...]:
    """A row for each cell, with a column for each item."""
    return tuple((name, *(cell(item) for item in items)) for name, cell in cells.items())


def _spent(spent: tuple[CostPerThousand, ...]) -> tuple[tuple[str, ...], ...]:
    return _rows(
        spent,
        {
            "kept": lambda one: _count(one.kept),
            "generated": lambda one: _count(one.generated),
            "calls": lambda one: _count(one.calls),
            "calls per 1,000 kept": lambda one: _with_ratio(_tenths(one.calls_per_1000_kept), one.calls_ratio),
            "tokens": lambda one: _count(one.tokens),
            "tokens per 1,000 kept": lambda one: _with_ratio(_whole_number(one.tokens_per_1000_kept), one.tokens_ratio),
            "USD": lambda one: _money(one.usd),
            "USD per 1,000 kept": lambda one: _with_ratio(_money(one.usd_per_1000_kept), one.usd_ratio),
        },
    )


def _whole(found: Comparison) -> tuple[tuple[str, ...], ...]:
    cells: dict[str, Callable[[Side], str]] = {
        "mode": lambda side: side.mode,
        "threshold": lambda side: f"{side.threshold:g}",
        "feedback": lambda side: "on" if side.feedback else "off",
        "generations from a replaced pool": lambda side: _percent(side.after_replacement_share),
        "yield": lambda side: _percent(side.kept_share),
        "attempted calls": lambda side: _count(side.calls.started),
        "cached prompt tokens": lambda side: _count(side.cached_tokens) if side.cached_tokens is not None else "–",
        "parts not parsed": lambda side: _count(sum(side.unparsed.values())),
    }
    return (*_rows(found.sides, cells), *_spent(found.spent))


def _diversity(found: Comparison) -> tuple[tuple[str, ...], ...]:
    cells: dict[str, Callable[[Side], str]] = {
        "mean similarity to the nearest kept before": lambda side: _decimals(side.diversity.nearest.mean),
        "… sampled instructions": lambda side: _count(side.diversity.nearest.sampled),
        "distinct root verbs (guessed)": lambda side: _count(side.diversity.words.verbs),
        "distinct direct objects (guessed)": lambda side: _count(side.diversity.words.objects),
        "distinct pairs of them": lambda side: _count(side.diversity.words.pairs),
        "share with a verb": lambda side: _share(side.diversity.words.with_verb, side.kept),
        "share with an object": lambda side: _share(side.diversity.words.with_object, side.kept),
        "entropy of the clusters, bits": lambda side: _decimals(side.diversity.cluster_entropy),
        "… relative to equal clusters": lambda side: _decimals(side.diversity.balance),
    }
    return _rows(found.sides, cells)


def _rejected(found: Comparison) -> tuple[tuple[str, ...], ...]:
    reasons = sorted(
        {reason for side in found.sides for reason in side.rejected},
        key=lambda reason: (-sum(side.rejected.get(reason, 0) for side in found.sides), reason),
    )
    return tuple(
        (
            reason,
            *(
                f"{_count(n)} ({_share(n, side.generated)})"
                for side in found.sides
                for n in [side.rejected.get(reason, 0)]
            ),
        )
        for reason in reasons
    )


def _pairs(side: Side) -> Table:
    rows = tuple((verb, thing, _count(number)) for verb, thing, number in side.diversity.words.most[:_PAIRS])
    return Table(f"Frequent pairs, run {side.name}", ("verb", "object", "#kept"), rows)


def _seeds(side: Side) -> Table:
    lowest = side.seeds[:_SEEDS]
    highest = side.seeds[max(len(lowest), len(side.seeds) - _SEEDS) :]
    return Table(
        f"Run {side.name}: lowest and highest scores of {len(side.seeds):,} seeds",
        ("#score", "#kept", "#generated", "in the pool", "instruction"),
        tuple(_seed(seed) for seed in (*lowest, *highest)),
    )


def _seed(seed: ScoredSeed) -> tuple[str, ...]:
    text = " ".join(seed.instruction.split())
    pooled = "yes" if seed.in_pool else "replaced"
    return _decimals(seed.score), _count(seed.kept), _count(seed.generated), pooled, text


def _with_ratio(amount: str, ratio: float | None) -> str:
    return amount if ratio is None else f"{amount} (× {ratio:.3f})"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _whole_number(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def _tenths(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.1f}"


def _decimals(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


def _money(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.4f}"


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.1f} %"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else None)
