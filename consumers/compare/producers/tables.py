"""The comparison of producers and strategies as tables of text, for the terminal and for the page."""

from collections import Counter
from collections.abc import Callable, Sequence

from consumers.compare.producers.equal_samples import LEAST_UNITS, MEASURES
from consumers.compare.producers.found import ProducerComparison
from consumers.compare.producers.groups import LARGEST_VALUE, ProducerGroup, RowAverage
from consumers.compare.producers.rows import ranked
from consumers.evaluation.cells import percent, percent_interval
from consumers.evaluation.results import Interval
from consumers.html_page import Table
from schemas.segments import Scorer

_MEASURES = {
    "nearest": "similarity to the nearest before (lower: more diverse)",
    "verb_noun_pairs": "distinct verb-noun pairs (guessed)",
    "distinct_1": "distinct-1: distinct words of all",
    "distinct_2": "distinct-2: distinct word pairs of all",
    "cluster_entropy": "entropy of the clusters, bits",
}
_Cell = Callable[[ProducerGroup], str]


def producer_tables(found: ProducerComparison) -> list[Table]:
    """All tables, the most important first."""
    several = len({group.run for group in (*found.producers, *found.strategies)}) > 1
    shown = [
        _counts("By producer", found.producers, several),
        _diversity("By producer: diversity", found.producers, found.producer_sample, several),
        _counts("By strategy", found.strategies, several),
        _reasons("By strategy: why segments gave no row", found.strategies, several),
        _diversity("By strategy: diversity", found.strategies, found.strategy_sample, several),
        _extraction(found),
        _correlations(found, several),
    ]
    return [table for table in shown if table.rows]


def _columns(groups: Sequence[ProducerGroup], several: bool) -> tuple[str, ...]:
    return ("", *(f"#{group.run}: {group.name}" if several else f"#{group.name}" for group in groups))


def _counts(title: str, groups: Sequence[ProducerGroup], several: bool) -> Table:
    cells: dict[str, _Cell] = {
        "documents": lambda group: f"{group.documents:,}" if group.documents else "–",
        "generations (of documents: segments)": lambda group: f"{group.generations:,}",
        "candidates": lambda group: f"{group.candidates:,}",
        "kept": lambda group: f"{group.kept:,}",
        "kept per generation": lambda group: _decimals(group.kept_per_generation),
        "kept of the candidates": lambda group: percent(group.kept_share),
    }
    rows = [(name, *(cell(group) for group in groups)) for name, cell in cells.items()]
    averages: list[tuple[str, Callable[[ProducerGroup], RowAverage | None]]] = [
        ("instruction, tokens", lambda group: group.instruction_tokens),
        ("output, tokens", lambda group: group.output_tokens),
        ("perplexity of the kept", lambda group: group.perplexity),
        ("gain of the kept, nats a token", lambda group: group.gain),
        *((f"score by {judge}", _judged(judge)) for judge in sorted({name for one in groups for name in one.judged})),
    ]
    for name, of in averages:
        found = [of(group) for group in groups]
        if any(one is not None for one in found):
            rows.append((f"{name}: mean", *map(_mean, found)))
            rows.append(("… median", *map(_median, found)))
            if any(one is not None and one.infinite for one in found):
                rows.append(
                    ("… infinite, not in the mean", *("–" if one is None else f"{one.infinite:,}" for one in found))
                )
            if name.startswith("score"):
                rows.append(("… rows judged", *("–" if one is None else f"{one.rows:,}" for one in found)))
    shares = [None if group.in_document is None else group.in_document.mean for group in groups]
    if any(share is not None for share in shares):
        rows.append(("output's tokens that stand in the document", *map(percent_interval, shares)))
    return Table(title, _columns(groups, several), tuple(rows))


def _reasons(title: str, groups: Sequence[ProducerGroup], several: bool) -> Table:
    counts: Counter[str] = Counter()
    for group in groups:
        counts.update(group.without_row)
    rows = tuple(
        (reason, *(_part(group.without_row.get(reason, 0), group.generations) for group in groups))
        for reason in ranked(counts)
    )
    return Table(title, ("the furthest candidate", *_columns(groups, several)[1:]), rows)


def _diversity(title: str, groups: Sequence[ProducerGroup], sample: int | None, several: bool) -> Table:
    rows = [("documents with a kept row (of sedi: generations)", *(f"{group.units:,}" for group in groups))]
    if sample is None:
        rows.append((f"of these, {LEAST_UNITS} are needed", *map(_too_few, groups)))
        return Table(title, _columns(groups, several), tuple(rows) if groups else ())
    for measure in MEASURES:
        cells = (
            _too_few(one) if one.diversity is None else _interval(getattr(one.diversity, measure)) for one in groups
        )
        rows.append((_MEASURES[measure], *cells))
    return Table(f"{title} of {sample} kept instructions", _columns(groups, several), tuple(rows))


def _too_few(group: ProducerGroup) -> str:
    return "too few generations" if group.producer == "sedi" else "too few documents"


def _extraction(found: ProducerComparison) -> Table:
    rows = []
    for one in found.extraction:
        of = " + ".join(one.strategies)
        if not one.measures:
            few = f"too few documents: {one.extract_documents:,} against {one.whole_documents:,}"
            rows.append((of, "", "", few))
        drawn = f"{one.sample} of {one.documents:,} documents" if one.paired else f"{one.sample} documents, unpaired"
        rows += [
            (f"{of}; {drawn}", _MEASURES[measure.measure], _interval(measure.difference), measure.finding)
            for measure in one.measures
        ]
    columns = ("extracts; in a draw", "measure", "#difference", "extracts are")
    return Table("Extracts against whole documents", columns, tuple(rows))


def _correlations(found: ProducerComparison, several: bool) -> Table:
    scorers = {one.scorer for one in found.correlations if one.scorer is not None}
    models = {scorer.model for scorer in scorers}
    rows = tuple(
        (
            (f"{one.run}: " if several else "")
            + f"{one.first} and {one.second}"
            + ("" if one.judge is None else f" by {one.judge}"),
            "–" if one.scorer is None else _scorer(one.scorer, full=len(models) < len(scorers)),
            f"{one.rows:,}",
            f"{one.documents:,}",
            "–" if one.rho is None else _interval(one.rho),
            one.words,
        )
        for one in found.correlations
    )
    columns = ("", "scored by", "#rows", "#documents", "#rho", "")
    return Table("Rank correlations (Spearman) of kept rows from documents", columns, rows)


def _scorer(scorer: Scorer, *, full: bool) -> str:
    """The model; in full where another scorer has the same one."""
    if not full:
        return scorer.model
    weights = "" if scorer.sha256 is None else f" {scorer.sha256[:8]}"
    return f"{scorer.model}{weights} ({scorer.backend}, {scorer.template}, version {scorer.version})"


def _judged(judge: str) -> Callable[[ProducerGroup], RowAverage | None]:
    return lambda group: group.judged.get(judge)


def _interval(found: Interval) -> str:
    digits = 1 if abs(found.value) >= 100 else 2 if abs(found.value) >= 1 else 3
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _mean(found: RowAverage | None) -> str:
    return "–" if found is None or found.mean is None else _interval(found.mean)


def _median(found: RowAverage | None) -> str:
    if found is None:
        return "–"
    return "infinite" if found.median > LARGEST_VALUE else f"{found.median:.{1 if abs(found.median) >= 100 else 3}f}"


def _decimals(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


def _part(number: int, of: int) -> str:
    return f"{number:,} ({percent(number / of if of else None)})"
