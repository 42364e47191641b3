"""Intervals are seeded, hold their value; means of parts are weighted; the paper's tables follow from their parts."""

import math
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.evaluation.mmlu_groups import MMLU_GROUPS, MMLU_QUESTIONS
from consumers.evaluation.statistics import (
    mean_interval,
    mean_relative_gain,
    ratio_interval,
    relative_gain,
    share_interval,
    standard_error,
    weighted_mean,
)
from infra.tables import read_table

MODELS = ("instruct", "self-instruct", "sedi", "falcon", "gemma")
TABLE_1 = {  # AlpacaEval, MMLU, HellaSwag, ARC; the average
    "instruct": ((9.1, 65.7, 57.7, 72.2), 51.2),
    "self-instruct": ((4.6, 56.5, 55.7, 67.7), 46.1),
    "sedi": ((5.4, 56.6, 56.1, 69.3), 46.9),
    "falcon": ((1.8, 25.1, 51.7, 62.0), 35.2),
    "gemma": ((0.2, 50.2, 55.9, 66.3), 43.2),
}
TABLE_5_MMLU = {  # STEM, Humanities, Social sciences, Other; MMLU
    "instruct": ((56.5, 60.4, 76.6, 72.2), 65.7),
    "self-instruct": ((47.5, 51.0, 66.6, 64.1), 56.5),
    "sedi": ((49.3, 49.8, 66.7, 64.1), 56.6),
    "falcon": ((23.1, 24.9, 24.2, 28.2), 25.1),
    "gemma": ((43.0, 44.7, 58.3, 44.7), 50.2),
}
TABLE_5_ARC = {  # challenge, easy; ARC
    "instruct": ((53.2, 81.2), 72.2),
    "self-instruct": ((47.7, 77.5), 67.7),
    "sedi": ((49.8, 79.0), 69.3),
    "falcon": ((40.1, 72.7), 62.0),
    "gemma": ((47.3, 75.6), 66.3),
}
ARC = (1172, 2376)
ROUNDED = 0.05
"""How far a number of the paper may be from what was measured."""


def rounded(value: float) -> float:
    return float(Decimal(repr(round(value, 9))).quantize(Decimal("0.1"), ROUND_HALF_UP))


@pytest.mark.parametrize("model", MODELS)
def test_the_averages_of_table_1_are_plain_means(model: str) -> None:
    parts, average = TABLE_1[model]
    assert rounded(sum(parts) / 4) == average


def test_both_readings_of_the_gain_of_table_1() -> None:
    before, after = TABLE_1["self-instruct"], TABLE_1["sedi"]
    assert rounded(100 * mean_relative_gain(before[0], after[0])) == 5.2
    assert [rounded(100 * relative_gain(*pair)) for pair in zip(before[0], after[0], strict=True)] == [
        17.4,  # of the win rate, 4.6 to 5.4, which is most of the mean
        0.2,
        0.7,
        2.4,
    ]
    assert (before[1], after[1]) == (46.1, 46.9)
    assert rounded(100 * relative_gain(sum(before[0]) / 4, sum(after[0]) / 4)) == 1.6


def test_arc_is_the_mean_of_its_halves_by_size() -> None:
    found = {model: weighted_mean(zip(ARC, parts, strict=True)) for model, (parts, _) in TABLE_5_ARC.items()}
    assert round(found["sedi"], 2) == 69.35  # 69.3546; the paper cuts it to 69.3
    assert math.isclose(found["sedi"], (1172 * 49.8 + 2376 * 79.0) / 3548)
    fits = [model for model in MODELS if abs(found[model] - TABLE_5_ARC[model][1]) <= 2 * ROUNDED]
    assert fits == ["self-instruct", "sedi", "falcon", "gemma"]
    assert rounded(found["instruct"]) == 72.0, "the paper's 72.2 does not follow from its parts"


def test_mmlu_is_the_mean_of_its_groups_by_size_with_anatomy_among_stem() -> None:
    sizes = list(MMLU_QUESTIONS.values())
    health = [sizes[0] - 135, sizes[1], sizes[2], sizes[3] + 135]  # anatomy, as its authors count it
    fits, other = (
        [
            model
            for model in MODELS
            if rounded(weighted_mean(zip(s, TABLE_5_MMLU[model][0], strict=True))) == TABLE_5_MMLU[model][1]
        ]
        for s in (sizes, health)
    )
    assert fits == ["instruct", "self-instruct", "sedi", "falcon"], "Gemma's Other repeats its Humanities"
    assert other == ["falcon"]


def mmlu_group(subject: str) -> str | None:
    return next((group for group, subjects in MMLU_GROUPS.items() if subject in subjects), None)


def test_every_subject_is_in_one_group(data: Path) -> None:
    subjects = list(chain.from_iterable(MMLU_GROUPS.values()))
    assert len(subjects) == len(set(subjects)) == 57
    assert sum(MMLU_QUESTIONS.values()) == 14_042
    assert MMLU_GROUPS.keys() == MMLU_QUESTIONS.keys()
    assert mmlu_group("anatomy") == "STEM"
    assert mmlu_group("knitting") is None
    rows = read_table(data / "eval_mc" / "mmlu_test_part.jsonl.gz")
    assert {row.fields["subject"] for row in rows} == set(subjects)
    halves = dict.fromkeys(MMLU_GROUPS, 0)
    for row in rows:
        halves[mmlu_group(row.fields["subject"]) or ""] += 1
    for group, half in halves.items():
        assert 0 <= 2 * half - MMLU_QUESTIONS[group] <= len(MMLU_GROUPS[group]), "half of each subject"


def test_wilsons_interval() -> None:
    found = share_interval(8, 10)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)
    assert share_interval(0, 5).low == 0
    assert 0.56 < share_interval(5, 5).low < 0.57
    assert share_interval(5, 5).high == 1
    with pytest.raises(ValueError, match="count at least one"):
        share_interval(0, 0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(0, 5))
def test_a_bootstrap_is_seeded_and_holds_its_value(values: list[float], rng_seed: int) -> None:
    found = mean_interval(values, rng_seed=rng_seed, resamples=50)
    assert found == mean_interval(np.array(values), rng_seed=rng_seed, resamples=50)
    assert found.low <= found.value <= found.high
    assert math.isclose(found.value, sum(values) / len(values), abs_tol=1e-9)


def test_a_bootstrap_is_as_wide_as_the_sample_says_and_no_matter_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    found = mean_interval(values)
    error = standard_error(values)
    assert error is not None
    assert math.isclose(found.high - found.low, 2 * 1.96 * error, rel_tol=0.1)
    assert found != mean_interval(values, rng_seed=1)
    monkeypatch.setattr("consumers.evaluation.statistics._AT_ONCE", 1_000)
    assert mean_interval(values) == found
    covered = [
        share_interval(hits, 50).low <= 0.3 <= share_interval(hits, 50).high
        for hits in np.random.default_rng(2).binomial(50, 0.3, 1_000)
    ]
    assert 0.93 < np.mean(covered) < 0.98


def test_a_ratio_weighs_units_by_their_size() -> None:
    found = ratio_interval([10.0, 30.0], [10, 10])
    assert found.value == 2.0
    assert msgspec.to_builtins(ratio_interval([5.0], [2])) == {"value": 2.5, "low": 2.5, "high": 2.5}
    for above, below in (([], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])):
        with pytest.raises(ValueError, match="positive denominators"):
            ratio_interval(above, below)
    assert standard_error([1.0]) is None
    assert standard_error([0.0, 1.0]) == 0.5
    with pytest.raises(ValueError, match="with a size"):
        weighted_mean([])
