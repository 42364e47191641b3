"""Whether extracts of documents give more diverse instructions than whole documents do, by each measure of diversity.

Where the strategies share documents, the difference is paired: a draw takes half of the shared documents without
replacement and one row of each from either side. Else each side's documents are drawn from alone, with one row of each:
no draw has two rows of a document, which are alike whatever the strategy. The interval of a difference is the delete-d
jackknife's (`consumers.compare.producers.equal_samples`). A difference whose interval has 0 in it is not
shown; that is no proof of none. Each measure has its own 95 % interval, without correction for their number.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from consumers.compare.producers.equal_samples import (
    DRAWS,
    LARGEST_POOL,
    LARGEST_SAMPLE,
    LEAST_UNITS,
    LOWER_IS_MORE_DIVERSE,
    MEASURES,
    MeasuredPool,
    intervals,
    pool_of,
    spread,
)
from consumers.compare.producers.rows import ProducerRow
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import Floats
from schemas.segments import Strategy
from streams.core.similarity.tokenize import Tokenizer

EXTRACTION: tuple[Strategy, ...] = ("random", "salient", "structural")

_SHORT = {
    "nearest": "similarity to the nearest",
    "verb_noun_pairs": "verb-noun pairs",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "cluster_entropy": "entropy of the clusters",
}

_Rows = Sequence[ProducerRow]
_Finding = Literal["more diverse", "less diverse", "no difference shown"]


class MeasureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A measure of diversity of extracts less that of whole documents, and what it says of the extracts."""

    measure: str
    difference: Interval
    finding: _Finding


class ExtractionFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Extracts by these strategies against whole documents.

    documents   that both have rows of
    paired      whether the samples are of these documents
    sample      rows of either side in a draw, each of another document; 0: too few documents
    rows, whole_rows   kept rows of either side
    extract_documents, whole_documents   that these are of
    measures    empty with too few documents
    words       the finding in a sentence
    """

    strategies: tuple[Strategy, ...]
    documents: int
    paired: bool
    sample: int
    rows: int
    whole_rows: int
    extract_documents: int
    whole_documents: int
    measures: tuple[MeasureDifference, ...]
    words: str


def findings(
    rows: _Rows, tokenizer: Tokenizer, *, clusters: bool, sample: int | None = None
) -> list[ExtractionFinding]:
    """All extraction against `whole`, then each strategy of which there are rows; none without rows of both kinds.

    clusters   whether clusters of the rows can be compared: they are of one run
    sample     rows of either side in a draw; by default half of what there is
    """
    distinct = list({(row.strategy, row.document_id, row.instruction): row for row in rows}.values())
    whole = [row for row in distinct if row.strategy == "whole"]
    extracts = [row for row in distinct if row.strategy in EXTRACTION]
    if not whole or not extracts:
        return []
    present = tuple(name for name in EXTRACTION if any(row.strategy == name for row in extracts))
    sides = [present, *((name,) for name in present)] if len(present) > 1 else [present]
    measures = MEASURES if clusters else tuple(name for name in MEASURES if name != "cluster_entropy")
    return [
        _finding(names, [row for row in extracts if row.strategy in names], whole, tokenizer, measures, sample)
        for names in sides
    ]


def _finding(
    names: tuple[Strategy, ...],
    extracts: _Rows,
    whole: _Rows,
    tokenizer: Tokenizer,
    measures: tuple[str, ...],
    wanted: int | None,
) -> ExtractionFinding:
    of_extracts, of_whole = ({row.document_id for row in side} for side in (extracts, whole))
    shared = sorted(of_extracts & of_whole, key=str)
    paired = len(shared) >= LEAST_UNITS
    units = min(len(shared), LARGEST_POOL) if paired else min(len(of_extracts), len(of_whole))
    size = min(units // 2, LARGEST_SAMPLE, wanted or LARGEST_SAMPLE)
    found: list[MeasureDifference] = []
    if units >= LEAST_UNITS:
        draws = (
            _paired(extracts, whole, shared, tokenizer, size) if paired else _apart(extracts, whole, tokenizer, size)
        )
        differences = dict(zip(MEASURES, intervals(draws), strict=True))
        found = [
            MeasureDifference(measure=name, difference=differences[name], finding=_said(name, differences[name]))
            for name in measures
        ]
    return ExtractionFinding(
        strategies=names,
        documents=len(shared),
        paired=paired,
        sample=size if found else 0,
        rows=len(extracts),
        whole_rows=len(whole),
        extract_documents=len(of_extracts),
        whole_documents=len(of_whole),
        measures=tuple(found),
        words=_words(names, found, len(of_extracts), len(of_whole)),
    )


def _paired(extracts: _Rows, whole: _Rows, shared: Sequence[str | None], tokenizer: Tokenizer, size: int) -> Floats:
    """The difference in each draw of `size` of the shared documents, [draws, measures]."""
    rng = np.random.default_rng(0)
    documents = [shared[place] for place in np.sort(rng.permutation(len(shared))[:LARGEST_POOL])]
    pools, places = [], []
    for all_rows in (extracts, whole):
        side = _of_documents(all_rows, documents)
        texts, clusters, units = _columns(side)
        pools.append(MeasuredPool(texts, clusters, units, tokenizer))
        by_document: defaultdict[str | None, list[int]] = defaultdict(list)
        for place, row in enumerate(side):
            by_document[row.document_id].append(place)
        places.append([by_document[document] for document in documents])
    found = []
    for _ in range(DRAWS):
        drawn = rng.permutation(len(documents))[:size]
        one, other = (
            pool.measure(np.sort([of[document][rng.integers(len(of[document]))] for document in drawn]))
            for pool, of in zip(pools, places, strict=True)
        )
        found.append(np.subtract(one, other))
    return spread(np.array(found), size, len(documents))


def _apart(extracts: _Rows, whole: _Rows, tokenizer: Tokenizer, size: int) -> Floats:
    """The difference between draws of `size` documents of each side alone, [draws, measures]."""
    one, other = (pool_of(*_columns(side), tokenizer) for side in (extracts, whole))
    first, second = (spread(pool.draws(size, rng_seed), size, pool.units) for rng_seed, pool in enumerate((one, other)))
    return first - second


def _columns(side: _Rows) -> tuple[list[str], list[int], list[str]]:
    """The instructions, clusters and documents of rows."""
    return [row.instruction for row in side], [row.cluster for row in side], [row.unit for row in side]


def _of_documents(side: _Rows, documents: Sequence[str | None]) -> list[ProducerRow]:
    """The rows of these documents; if there are too many to measure, the first of each document."""
    wanted = set(documents)
    rows = [row for row in side if row.document_id in wanted]
    if len(rows) <= LARGEST_POOL:
        return rows
    first: dict[str | None, ProducerRow] = {}
    for row in rows:
        first.setdefault(row.document_id, row)
    return list(first.values())


def _said(measure: str, difference: Interval) -> _Finding:
    if difference.low <= 0 <= difference.high:
        return "no difference shown"
    return "more diverse" if (difference.value < 0) == (measure in LOWER_IS_MORE_DIVERSE) else "less diverse"


def _words(names: tuple[Strategy, ...], found: Sequence[MeasureDifference], documents: int, whole: int) -> str:
    extracts = f"Extracts ({', '.join(names)})"
    if not found:
        few = f"too few documents have rows, {documents:,} against {whole:,}, and {LEAST_UNITS} of each are needed"
        return f"{extracts} cannot be compared with whole documents: {few}."
    said: defaultdict[str, list[str]] = defaultdict(list)
    for one in found:
        said[one.finding].append(_SHORT[one.measure])
    parts = [
        f"{finding} by {', '.join(said[finding])}"
        for finding in ("more diverse", "less diverse", "no difference shown")
        if said[finding]
    ]
    return f"{extracts} against whole documents: {'; '.join(parts)}."
