"""What the intervals of producers and strategies cover, on simulated rows of documents that are alike within one."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from consumers.compare.producers import equal_samples
from consumers.compare.producers.correlations import spearman
from consumers.compare.producers.equal_samples import MEASURES, MeasuredPool, pool_of, sampled_diversity
from consumers.compare.producers.extraction import findings
from consumers.compare.producers.rows import ProducerRow
from schemas.segments import Strategy
from streams.core.similarity.tokenize import rouge_tokens

SEEDS = 200
MOST = 0.08 * SEEDS
"""False findings: 5 % are meant; intervals of 40 documents are a little narrow."""

VERBS = "Describe Explain Compare List Draw Sketch Name Plan Rate Draft".split()
WORDS = [f"w{number}" for number in range(60)]
PLAIN = ["summary", "text", "main", "points"]


def rows_of(
    rng: random.Random, strategy: Strategy, *, documents: int, rows: int, plain: float = 0.4
) -> list[ProducerRow]:
    """Rows of documents that the other strategy has none of. Those of one differ in a word; a share of the documents
    gives rows as plain as each other."""
    found = []
    for document in range(documents):
        is_plain = rng.random() < plain
        verb, words = ("Write", PLAIN) if is_plain else (rng.choice(VERBS), rng.sample(WORDS, 4))
        cluster = 0 if is_plain else rng.randrange(6)
        for _ in range(rows):
            said = list(words)
            said[rng.randrange(4)] = rng.choice(WORDS)
            text = f"{verb} a {said[0]} with the {said[1]} near some {said[2]} and {said[3]}"
            found.append(row(f"{strategy} {document}", strategy, text, cluster))
    return found


def row(document: str, strategy: Strategy, instruction: str, cluster: int) -> ProducerRow:
    return ProducerRow(
        id="",
        generated_offset=0,
        place=0,
        style="documents",
        instruction=instruction,
        cluster=cluster,
        instruction_tokens=10,
        output_tokens=10,
        strategy=strategy,
        document_id=document,
        scorer=None,
        perplexity=None,
        gain=None,
        scores={},
    )


def correlated(seed: int, rho: float) -> tuple[list[float], list[float], list[str]]:
    """Pairs of values of 6 rows of each of 40 documents; most of each value is the document's."""
    rng = np.random.default_rng(seed)
    documents = np.repeat(np.arange(40), 6)
    first, own = rng.normal(size=(2, 40))
    second = rho * first + np.sqrt(1 - rho**2) * own
    one, other = (np.sqrt(0.8) * of[documents] + np.sqrt(0.2) * rng.normal(size=240) for of in (first, second))
    return one.tolist(), other.tolist(), [f"document {number}" for number in documents]


def test_a_rank_correlation_is_not_found_where_rows_of_a_document_are_alike_and_there_is_none() -> None:
    found = [spearman(*correlated(seed, 0.0)) for seed in range(SEEDS)]
    assert all(found)
    wrong = sum(one is not None and not one.low <= 0 <= one.high for one in found)
    assert 2 <= wrong <= MOST


def test_a_rank_correlation_that_is_there_is_found() -> None:
    found = [spearman(*correlated(seed, 0.7)) for seed in range(20)]
    assert sum(one is not None and one.low > 0 for one in found) >= 19


def test_alike_rows_of_a_document_do_not_make_extracts_more_or_less_diverse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equal_samples, "DRAWS", 60)
    wrong: Counter[str] = Counter()
    for seed in range(SEEDS):
        rng = random.Random(seed)
        rows = rows_of(rng, "random", documents=40, rows=6) + rows_of(rng, "whole", documents=40, rows=1)
        (found,) = findings(rows, rouge_tokens, clusters=True)
        assert not found.paired and (found.sample, found.extract_documents) == (20, 40)
        wrong.update(one.measure for one in found.measures if one.finding != "no difference shown")
    assert all(wrong[measure] <= MOST for measure in MEASURES), wrong


def test_extracts_of_fewer_plain_documents_are_found_more_diverse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equal_samples, "DRAWS", 60)
    more: Counter[str] = Counter()
    for seed in range(20):
        rng = random.Random(seed)
        rows = rows_of(rng, "random", documents=40, rows=4, plain=0.0)
        rows += rows_of(rng, "whole", documents=40, rows=2, plain=0.5)
        (found,) = findings(rows, rouge_tokens, clusters=True)
        more.update(one.measure for one in found.measures if one.finding == "more diverse")
    assert more["nearest"] >= 18 and more["distinct_2"] >= 18, more


@pytest.mark.parametrize("of_documents", [1.0, 0.0])
def test_the_interval_is_as_wide_as_the_documents_say_however_alike_their_rows(of_documents: float) -> None:
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(120), 5)
    values = of_documents * rng.normal(size=120)[units] + rng.normal(size=600)
    pool = MeasuredPool([f"text {place}" for place in range(600)], [0] * 600, [*map(str, units)], rouge_tokens)
    pool.measure = lambda places: (float(values[places].mean()),) * len(MEASURES)  # type: ignore[method-assign]
    found = sampled_diversity(pool, 40)
    assert found is not None and (found.units, found.pool) == (120, 600)
    means = values.reshape(120, 5).mean(axis=1)
    assert found.nearest.value == pytest.approx(means.mean(), abs=0.03)
    expected = 2 * 1.96 * means.std(ddof=1) / np.sqrt(120)
    assert found.nearest.high - found.nearest.low == pytest.approx(expected, rel=0.2)


def test_a_sample_has_a_row_of_each_document_and_a_large_pool_keeps_its_documents() -> None:
    units = [f"{place % 300}" for place in range(1500)]
    pool = pool_of([f"text {place}" for place in range(1500)], [0] * 1500, units, rouge_tokens)
    assert (pool.units, pool.rows) == (300, 900)

    seen: list[Sequence[int]] = []
    small = MeasuredPool(
        [f"text {place}" for place in range(60)], [0] * 60, [f"{place % 20}" for place in range(60)], rouge_tokens
    )
    small.measure = lambda places: seen.append(places.tolist()) or (0.0,) * len(MEASURES)  # type: ignore
    assert sampled_diversity(small, 10) is not None
    assert all(len({place % 20 for place in places}) == 10 and places == sorted(places) for places in seen)
    assert len({tuple(places) for places in seen}) > 1000
    assert sampled_diversity(small, 11) is None
