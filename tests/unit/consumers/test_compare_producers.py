"""Producers and strategies side by side: what they yield, and how diverse it is at equal sizes."""

import math
import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy.stats import spearmanr

from consumers.compare import Comparison, compare
from consumers.compare.page import page
from consumers.compare.producers import compare_producers
from consumers.compare.producers.correlations import spearman
from consumers.compare.producers.equal_samples import MEASURES, MeasuredPool, pool_of, sampled_diversity
from consumers.compare.producers.groups import average
from consumers.compare.producers.tables import producer_tables
from consumers.compare.side import read_side
from consumers.compare.tables import tables
from schemas.errors import ConfigurationError
from schemas.segments import Scorer, Strategy
from streams.core.similarity.rouge import rouge_l_fmeasure
from streams.core.similarity.rouge_scores import full_scores_in_order
from streams.core.similarity.tokenize import rouge_tokens
from tests.unit.consumers.document_story import SCORER, DocumentStory
from tests.unit.consumers.recorded_run import source_of, whole_run

TEXT = "The tide turns twice a day. Boats wait for it in the harbour. At night the light is on."
WORDS = "river bridge lamp violin copper island winter ladder garden signal barley compass orchard tunnel".split()
VERBS = "Describe Explain Compare List Draw Sketch Name Plan Rate Draft".split()


def varied(number: int) -> str:
    chosen = random.Random(number).sample(WORDS, 4)
    return f"{VERBS[number % len(VERBS)]} a {chosen[0]} with the {chosen[1]} near some {chosen[2]} and {chosen[3]}"


def alike(number: int) -> str:
    return f"Write a summary of the text about the {WORDS[number % 2]}"


def own(texts: list[str]) -> list[str]:
    """A document for each text."""
    return [str(number) for number in range(len(texts))]


def replace_scorer(model: str) -> Scorer:
    return msgspec.structs.replace(SCORER, model=model)


def two_segments() -> DocumentStory:
    """Of one document: an extract with a kept row, and a segment of the whole without one."""
    story = DocumentStory()
    story.configure()
    document = story.document(TEXT)
    row = story.segment(
        document,
        TEXT,
        "random",
        ["What do the boats wait for?", "Say where the boats are", "Boats wait for it"],
        keep=1,
        reasons={2: "copies_segment"},
        gains=(0.1, 0.4, 0.2),
        spans=[(0, 27), (62, 87)],
    )
    assert row is not None
    story.judge(row, 4.5)
    story.segment(
        document, TEXT, "whole", ["Go", "Tell me of tides"], reasons={0: "too_short", 1: "low_gain"}, gains=(-1, -0.5)
    )
    return story


def many(extract: Strategy = "random", *, documents: int = 60, shared: bool = True) -> DocumentStory:
    """A row from an extract and one of the whole for each document; the extracts' are varied, the others alike."""
    story = DocumentStory()
    story.configure()
    for number in range(documents):
        text = f"{TEXT} It was day {number}."
        first = story.document(text)
        second = first if shared else story.document(text + " ")
        gain = random.Random(number).random()
        row = story.segment(first, text, extract, [varied(number)], keep=0, gains=(gain,), cluster=number % 2)
        assert row is not None
        story.judge(row, round(2 + 4 * gain) / 2)
        story.segment(second, text, "whole", [alike(number)], keep=0, gains=(gain,))
    return story


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare([source_of(many())])


def test_strategies_are_counted_by_segment_and_say_why_one_gave_no_row() -> None:
    found = compare([source_of(two_segments())]).producers
    assert found is not None
    random_, whole = found.strategies

    assert (random_.strategy, random_.generations, random_.candidates, random_.kept) == ("random", 1, 3, 1)
    assert (random_.kept_per_generation, random_.kept_share, random_.documents) == (1.0, pytest.approx(1 / 3), 1)
    assert random_.rejected == {"copies_segment": 1, "higher_perplexity": 1}
    assert random_.without_row == {}
    assert (whole.strategy, whole.kept, whole.without_row) == ("whole", 0, {"low_gain": 1})
    assert whole.perplexity is None and whole.diversity is None
    assert random_.gain is not None and random_.gain.median == pytest.approx(0.4)
    assert random_.perplexity is not None and random_.perplexity.median == pytest.approx(np.exp(2.6))
    assert random_.judged["quality/1/j"].mean.value == 4.5
    assert [group.name for group in found.producers] == ["goliath"]
    assert (found.producers[0].generations, found.producers[0].kept, found.producer_sample) == (2, 1, None)


def test_what_the_filter_is_not_done_with_does_not_count_nor_does_a_repeat() -> None:
    story = two_segments()
    story.segment(story.document("Other text"), "Other text", "salient", ["Ask"], decide=False)
    story.written += [entry for entry in story.written if entry.topic in ("kept", "rejected", "documents")]
    before, after = (compare([source_of(one)]).producers for one in (two_segments(), story))
    assert before == after


def test_an_outputs_tokens_are_looked_up_in_its_document_each_as_often_as_it_is_there() -> None:
    story = two_segments()
    document = story.document("A tide. A boat.")
    rewritten = story.segment(
        document, "A tide. A boat.", "salient", ["Name two things"], keep=0, output="A tide, a tide and a boat, truly"
    )
    missing = story.segment("00000000-0000-5000-8000-000000000000", TEXT, "whole", ["Name a thing"], keep=0)
    shares = read_side(source_of(story)).producers.in_document

    assert sorted(shares.values()) == [pytest.approx(4 / 8), 1.0]
    assert rewritten in shares and missing not in shares


def test_a_matrix_of_scores_is_rouges() -> None:
    texts = [varied(number) for number in range(12)] + ["", "?!"]
    pool = MeasuredPool(texts, [0] * len(texts), own(texts), rouge_tokens)
    places = np.arange(len(texts))
    one_by_one = [max(rouge_l_fmeasure(a, b) for b in texts[:at]) for at, a in enumerate(texts) if at]
    assert pool.measure(places)[0] == pytest.approx(np.mean(one_by_one))
    assert one_by_one == [one.maximum for one in full_scores_in_order(texts, nearest=0, only=range(1, len(texts)))]


def test_measures_of_a_sample_are_those_of_its_rows_alone() -> None:
    texts = ["Write a poem", "Write a poem", "Draw the long red line", "What is it?"]
    pool = MeasuredPool(texts, [0, 1, 1, 2], own(texts), rouge_tokens)
    nearest, pairs, one, two, bits = pool.measure(np.array([0, 2, 3]))
    assert (nearest, pairs, bits) == (0.0, 2.0, pytest.approx(np.log2(3)))
    assert (one, two) == (1.0, 1.0)
    nearest, pairs, one, two, bits = pool.measure(np.array([0, 1]))
    assert (nearest, pairs, one, two, bits) == (1.0, 1.0, 0.5, 0.5, 1.0)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says_whatever_the_sample() -> None:
    texts = [(varied if number % 3 else alike)(number) for number in range(240)]
    firsts = MeasuredPool(texts, [0] * len(texts), own(texts), rouge_tokens)
    values = np.random.default_rng(1).normal(size=240)
    firsts.measure = lambda places: (float(values[places].mean()),) * len(MEASURES)  # type: ignore[method-assign]
    expected = 2 * 1.96 * values.std(ddof=1) / np.sqrt(240)
    for sample in (40, 120):
        found = sampled_diversity(firsts, sample)
        assert found is not None
        assert found.nearest.high - found.nearest.low == pytest.approx(expected, rel=0.15)


def test_groups_of_different_sizes_are_as_diverse_as_each_other_if_they_are_made_alike() -> None:
    small, large = ([varied(number) for number in range(rows)] for rows in (60, 600))
    of_small, of_large = (
        sampled_diversity(pool_of(texts, [0] * len(texts), own(texts), rouge_tokens), 30) for texts in (small, large)
    )
    assert of_small is not None and of_large is not None
    for measure in MEASURES[:4]:
        one, other = getattr(of_small, measure), getattr(of_large, measure)
        assert one.low <= other.value <= one.high, measure
    assert of_large.nearest.high - of_large.nearest.low < of_small.nearest.high - of_small.nearest.low


@pytest.mark.parametrize("shared", [True, False])
def test_varied_extracts_are_more_diverse_than_alike_wholes_paired_or_not(shared: bool) -> None:
    found = compare([source_of(many(shared=shared))]).producers
    assert found is not None
    (finding,) = found.extraction
    assert (finding.paired, finding.documents, finding.sample) == (shared, 60 if shared else 0, 30)
    assert {one.measure for one in finding.measures if one.finding == "more diverse"} == set(MEASURES)
    by_measure = {one.measure: one.difference.value for one in finding.measures}
    assert by_measure["nearest"] < 0 < by_measure["distinct_2"]
    assert "more diverse by similarity to the nearest" in finding.words


def test_rows_made_alike_on_both_sides_show_no_difference() -> None:
    story = DocumentStory()
    story.configure()
    for number in range(80):
        text = f"{TEXT} It was day {number}."
        document = story.document(text)
        story.segment(document, text, "salient", [varied(2 * number)], keep=0)
        story.segment(document, text, "whole", [varied(2 * number + 1)], keep=0)
    found = compare([source_of(story)]).producers
    assert found is not None
    assert {one.finding for one in found.extraction[0].measures if one.measure != "verb_noun_pairs"} == {
        "no difference shown"
    }


def test_too_few_documents_are_said_in_words() -> None:
    found = compare([source_of(many(documents=19))]).producers
    assert found is not None
    assert found.extraction[0].measures == ()
    assert "too few documents have rows, 19 against 19" in found.extraction[0].words
    assert (found.strategy_sample, found.strategies[0].diversity) == (None, None)
    shown = {table.title: table.rows for table in producer_tables(found)}
    assert shown["By strategy: diversity"][1][1:] == ("too few documents", "too few documents")
    assert [(one.rho, one.words) for one in found.correlations][1] == (
        None,
        "too few documents: 19 have rows with both, 20 are needed",
    )


def test_ranks_correlate_as_scipy_finds_and_the_interval_has_the_value(found: Comparison) -> None:
    rng = np.random.default_rng(3)
    first = rng.integers(0, 6, 80).astype(float)
    second = first + rng.normal(size=80) * 2
    rho = spearman(first.tolist(), second.tolist(), [str(number) for number in range(80)])
    assert rho is not None
    assert rho.value == pytest.approx(spearmanr(first, second).statistic)
    assert 0 < rho.low < rho.value < rho.high < 1
    assert spearman([1.0] * 30, second[:30].tolist(), [*map(str, range(30))]) is None

    assert found.producers is not None
    with_gain, perplexity, gain = found.producers.correlations
    assert with_gain.rho is not None and with_gain.rho.value == pytest.approx(-1)
    assert (gain.judge, gain.rows, gain.documents) == ("quality/1/j", 60, 60)
    assert gain.words == "rise together"
    assert perplexity.words == "one rises as the other falls"


def test_runs_and_scorers_are_correlated_apart_and_of_a_document_all_rows_or_none() -> None:
    first, second = many(documents=30), many(documents=25)
    other = replace_scorer("large")
    for number in range(22):
        text = f"{TEXT} It was night {number}."
        second.segment(second.document(text), text, "random", [varied(number)], keep=0, gains=(0.1,), scorer=other)
    found = compare([source_of(first), source_of(second)]).producers
    assert found is not None
    apart = {(one.run, one.scorer and one.scorer.model): one for one in found.correlations if one.judge is None}
    assert {key: (one.rows, one.documents) for key, one in apart.items()} == {
        ("demo", "small"): (60, 30),
        ("demo (2)", "small"): (50, 25),
        ("demo (2)", "large"): (22, 22),
    }
    assert apart["demo (2)", "large"].words == "one of the two is the same in all rows"
    (table,) = (table for table in producer_tables(found) if table.title.startswith("Rank"))
    assert ("demo (2): perplexity and gain", "large") in {row[:2] for row in table.rows}


def test_an_infinite_perplexity_ranks_last_and_is_left_out_of_the_mean() -> None:
    run = read_side(source_of(many())).producers
    rows = tuple(
        replace(row, perplexity=math.inf) if row.strategy == "whole" or number < 4 else row
        for number, row in enumerate(run.rows)
    )
    found = compare_producers([("demo", replace(run, rows=rows))])
    assert found is not None
    extracts, wholes = found.strategies
    assert extracts.perplexity is not None and wholes.perplexity is not None
    assert (extracts.perplexity.rows, extracts.perplexity.infinite) == (60, 2)
    finite = [row.perplexity for row in rows if row.strategy == "random" and row.perplexity != math.inf]
    assert extracts.perplexity.mean is not None
    assert extracts.perplexity.mean.value == pytest.approx(np.mean(np.array(finite, float)))
    assert math.isfinite(extracts.perplexity.median) and extracts.perplexity.mean.high < math.inf
    assert (wholes.perplexity.mean, wholes.perplexity.median, wholes.perplexity.infinite) == (None, math.inf, 60)
    assert found.correlations[0].rho is not None and math.isfinite(found.correlations[0].rho.low)
    assert average([replace(row, perplexity=1e308) for row in rows], lambda row: row.perplexity)

    cells = {row[0]: row[1:] for table in producer_tables(found) for row in table.rows}
    assert cells["… infinite, not in the mean"] == ("2", "60")
    assert b"nan" not in msgspec.json.encode(found).lower()


def test_both_producers_are_compared_over_runs_at_one_sample_size() -> None:
    told = whole_run()
    for number in range(10, 40):
        told.generation(number, [varied(number)])
    found = compare([source_of(told), source_of(many())]).producers
    assert found is not None
    sedi, goliath = found.producers
    assert (sedi.name, sedi.producer, goliath.name) == ("sedi/alpaca", "sedi", "goliath")
    assert sedi.diversity is not None and goliath.diversity is not None
    assert sedi.diversity.sample == goliath.diversity.sample == found.producer_sample == sedi.units // 2
    assert sedi.perplexity is None and sedi.documents == 0
    assert found.strategy_sample == 30


def test_the_page_and_the_tables_have_the_finding_and_come_out_the_same_each_time(found: Comparison) -> None:
    titles = [table.title for table in tables(found)]
    assert "By strategy: diversity of 30 kept instructions" in titles
    assert all(len(row) == len(table.columns) for table in tables(found) for row in table.rows)
    text = page(found)
    assert "more diverse" in text and "by producer and strategy" in text and "<svg" not in text
    assert page(compare([source_of(many())])) == text


def test_the_sample_can_be_set_and_must_be_possible() -> None:
    found = compare([source_of(many())], sample=12).producers
    assert found is not None
    assert (found.strategy_sample, found.extraction[0].sample) == (12, 12)
    for wrong in (9, 251):
        with pytest.raises(ConfigurationError, match=f"--sample is {wrong}"):
            compare([source_of(many())], sample=wrong)


def test_a_run_without_documents_has_no_comparison_of_producers_and_no_sample() -> None:
    assert compare([source_of(whole_run()), source_of(whole_run())]).producers is None
    with pytest.raises(ConfigurationError, match=r"--sample is for .* no run here has rows from documents"):
        compare([source_of(whole_run()), source_of(whole_run())], sample=20)
    with pytest.raises(ConfigurationError, match="it has no rows from documents"):
        compare([source_of(whole_run())])
