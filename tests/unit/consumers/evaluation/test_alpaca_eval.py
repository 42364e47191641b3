"""AlpacaEval's numbers come out of its annotation files as published; what is no preference is counted or refused."""

import gzip
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.evaluation.alpaca_eval import AlpacaEvalScore, alpaca_eval, read_annotations, win_rate
from consumers.evaluation.length_control import FEWEST, length_controlled
from schemas.errors import ConfigurationError
from sedi.main import main

FILE = "judge/alpaca_eval_gpt4_alpaca-7b_vs_text_davinci_003.json.gz"


def annotation(preference: object = 2, **fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "instruction": "Name a river",
        "output_1": "Elbe",
        "generator_1": "reference",
        "output_2": "The Oder",
        "generator_2": "ours",
        "preference": preference,
    }
    return row | fields


def written(folder: Path, rows: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(rows), encoding="utf-8")  # NaN stays NaN, as in some published files
    return path


def of(folder: Path, *preferences: object) -> AlpacaEvalScore:
    (score,) = alpaca_eval(read_annotations(written(folder, [annotation(value) for value in preferences])))
    return score


def test_the_published_numbers_of_alpaca_7b(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "alpaca-eval", "--json", str(data / FILE)]) == 0
    out, progress = capsys.readouterr()
    found = {score["dataset"]: score for score in json.loads(out)}
    every = found["all"]
    assert (every["n_wins"], every["n_wins_base"], every["n_draws"], every["n_total"]) == (181, 495, 13, 689)
    assert (every["win_rate"], every["discrete_win_rate"]) == ((181 + 13 / 2) / 689 * 100,) * 2
    assert (round(every["win_rate"], 3), round(every["standard_error"], 3)) == (27.213, 1.676)
    wins = [1.0] * 181 + [0.5] * 13 + [0.0] * 495
    assert math.isclose(every["standard_error"], 100 * statistics.stdev(wins) / math.sqrt(689), rel_tol=1e-13)
    controlled = every["length_controlled_without_difficulty"]
    assert controlled["value"] == pytest.approx(26.7, abs=0.05)
    assert (controlled["low"], controlled["high"]) == (pytest.approx(23.2, abs=0.5), pytest.approx(30.1, abs=0.5))
    assert list(found) == ["all", "helpful_base", "koala", "oasst", "selfinstruct", "vicuna"]
    assert sum(score["n_total"] for score in found.values()) == 2 * 689
    assert (every["model"], every["reference"]) == ("alpaca-7b", "text_davinci_003")
    assert "alpaca-7b against text_davinci_003, koala: 119 rows" in progress


def test_rows_without_a_preference_are_dropped_and_counted(tmp_path: Path) -> None:
    found = of(tmp_path, 2, 2, 1, 0, None, -1, math.nan)
    assert (found.n_wins, found.n_wins_base, found.n_draws, found.n_total, found.dropped) == (2, 1, 1, 4, 3)
    assert found.win_rate == 62.5
    assert found.length_controlled_without_difficulty is None
    nothing = of(tmp_path, None, -1)
    assert (nothing.win_rate, nothing.standard_error, nothing.discrete_win_rate) == (None, None, None)
    assert (nothing.n_total, nothing.dropped) == (0, 2)


def test_a_model_that_gave_nothing_is_an_empty_output_and_its_preference_counts(tmp_path: Path) -> None:
    rows = [annotation(2), annotation(1, output_2=None), annotation(2, output_1=None)]
    (found,) = alpaca_eval(read_annotations(written(tmp_path, rows)))
    assert (found.n_wins, found.n_wins_base, found.avg_length) == (2, 1, 5)


def test_a_data_set_with_the_name_of_all_rows_does_not_take_their_place(tmp_path: Path) -> None:
    rows = [annotation(2, dataset="all"), annotation(1, dataset="koala"), annotation(1, dataset="koala")]
    found = alpaca_eval(read_annotations(written(tmp_path, rows)))
    assert [(score.dataset, score.n_total) for score in found] == [("all", 3), ("all", 1), ("koala", 2)]


def test_half_a_surrogate_pair_in_a_name_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [annotation(generator_2="ours\ud800")])
    assert main(["eval", "alpaca-eval", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["model"] == "ours\\ud800"


def test_a_probability_counts_as_that_much_of_a_win(tmp_path: Path) -> None:
    found = of(tmp_path, 1.9, 1.51, 1.5, 1.2, 1.0, 2)
    assert found.win_rate == pytest.approx(100 * (0.9 + 0.51 + 0.5 + 0.2 + 0 + 1) / 6)
    assert found.discrete_win_rate == pytest.approx(100 * 3.5 / 6)
    assert (found.n_wins, found.n_wins_base, found.n_draws) == (3, 2, 1)
    assert found.standard_error == pytest.approx(
        100 * statistics.stdev([0.9, 0.51, 0.5, 0.2, 0, 1]) / math.sqrt(6), rel=1e-12
    )


def test_a_probability_rounded_to_beyond_its_ends_counts_as_in_the_published_code() -> None:
    found = win_rate([2 + 2e-16 * 4, 1 - 1e-12, 2])
    assert (found.n_total, found.dropped, found.win_rate) == (1, 2, 100)
    assert found.discrete_win_rate == pytest.approx(200 / 3)


@given(st.lists(st.sampled_from([0, 1, 2, 1.5]) | st.floats(1, 2), min_size=2, max_size=40))
def test_exchanging_the_models_mirrors_every_number(preferences: list[float]) -> None:
    ours, theirs = win_rate(preferences), win_rate([value and 3 - value for value in preferences])
    assert ours.win_rate is not None and theirs.win_rate is not None
    assert ours.discrete_win_rate is not None and theirs.discrete_win_rate is not None
    assert ours.win_rate + theirs.win_rate == pytest.approx(100)
    assert ours.discrete_win_rate + theirs.discrete_win_rate == pytest.approx(100)
    assert ours.standard_error == pytest.approx(theirs.standard_error, abs=1e-9)
    assert (ours.n_wins, ours.n_wins_base, ours.n_draws) == (theirs.n_wins_base, theirs.n_wins, theirs.n_draws)


def test_files_of_several_models_annotators_and_data_sets_are_parted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        annotation(2, dataset="vicuna", annotator="a\x1b[2J"),
        annotation(1, dataset="koala", annotator="a\x1b[2J"),
        annotation(1, generator_2="other", output_2=""),
    ]
    packed = tmp_path / "packed.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(rows).encode()))
    found = alpaca_eval(read_annotations(packed))
    assert [(score.model, score.annotator, score.dataset, score.win_rate, score.avg_length) for score in found] == [
        ("ours", "a\x1b[2J", "all", 50, 8),
        ("ours", "a\x1b[2J", "koala", 0, 8),
        ("ours", "a\x1b[2J", "vicuna", 100, 8),
        ("other", "", "all", 0, 0),
    ]
    assert main(["eval", "alpaca-eval", str(packed)]) == 0
    out = capsys.readouterr().out
    assert "other against reference, in percent" in " ".join(out.split())
    assert "50.000 ± 50.000" in out
    assert "not the leaderboard's number" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([annotation(), {"instruction": "x", "output_1": "y"}], r"row 2: output_2, generator_1, .*preference missing"),
        ([annotation(3)], r"row 1: preference must be 1 to 2, .* and is 3\. Correct it"),
        ([annotation(0.4)], "and is 0.4"),
        ([annotation(-2)], "and is -2"),
        ([annotation("2")], "and is '2'"),
        ([annotation(True)], "and is True"),
        ([annotation(output_2=7)], "row 1: output_2 must be a text, and is 7"),
        ([annotation(generator_2=None)], "row 1: generator_2 must be a text, and is None"),
        ([annotation(10**400)], "row 1: preference must be 1 to 2"),
        (["text"], "row 1: a row must be a JSON object"),
        ([], "not a JSON array with rows"),
        ({"rows": []}, "not a JSON array with rows"),
    ],
)
def test_a_wrong_row_is_named(rows: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, rows)
    with pytest.raises(ConfigurationError, match=message):
        read_annotations(path)
    assert main(["eval", "alpaca-eval", str(path)]) == 2
    assert "annotations.json" in capsys.readouterr().err


@pytest.mark.parametrize("raw", [b"[{", b"\x1f\x8bxx", b"\xff", b""])
def test_what_is_no_json_is_told(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(raw)
    for path in (tmp_path / "a.json", tmp_path / "missing.json"):
        with pytest.raises(ConfigurationError, match="Give an annotation file of AlpacaEval"):
            read_annotations(path)


def test_equal_lengths_are_held_equal() -> None:
    rng = np.random.default_rng(0)
    longer = rng.normal(0, 300, 3_000)
    wins = (rng.random(3_000) < 1 / (1 + np.exp(-(2 * np.tanh(longer / 300) - 0.8)))).astype(float)
    chosen = longer > -100  # the model is mostly the longer one, so its plain win rate is too high
    found = length_controlled(wins[chosen], longer[chosen], resamples=50)
    assert found is not None
    assert wins[chosen].mean() > 0.45
    assert found.value == pytest.approx(1 / (1 + math.exp(0.8)), abs=0.03)
    assert found.low < found.value < found.high
    assert found == length_controlled(wins[chosen], longer[chosen], resamples=50)
    mirrored = length_controlled(1 - wins[chosen], -longer[chosen], resamples=50)
    assert mirrored is not None
    for ours, theirs in ((found.value, mirrored.value), (found.low, mirrored.high), (found.high, mirrored.low)):
        assert ours + theirs == pytest.approx(1, abs=2e-3)


def test_what_cannot_be_fitted_has_a_plain_rate_or_none() -> None:
    assert length_controlled([1.0] * (FEWEST - 1), [5] * (FEWEST - 1), resamples=5) is None
    same = length_controlled([1.0, 0.0] * FEWEST, [5] * 2 * FEWEST, resamples=5)
    assert same is not None
    assert same.value == 0.5
    won = length_controlled([1.0] * FEWEST, range(FEWEST), resamples=5)
    assert won is not None
    assert (won.low, won.value, won.high) == (1, 1, 1)
    parted = length_controlled([0.0] * FEWEST + [1.0] * FEWEST, range(-FEWEST, FEWEST), resamples=20)
    assert parted is not None
    assert 0 < parted.value < 1


@pytest.mark.parametrize("kind", ["probabilities", "draws", "the longer wins", "hardly a win"])
def test_the_rate_is_that_of_scikit_learn(kind: str) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    longer = rng.normal(100, 300, 90)
    wins = {
        "probabilities": rng.random(90),
        "draws": rng.integers(0, 3, 90) / 2,
        "the longer wins": (longer > 0).astype(float),
        "hardly a win": (np.arange(90) == 4).astype(float),
    }[kind]
    found = length_controlled(wins, longer, resamples=2)
    terms = np.column_stack([np.tanh(longer / longer.std(ddof=1)), np.ones(90)])
    weights, labels = np.concatenate([wins, 1 - wins]), np.repeat([1, 0], 90)
    # Its solver shuffles: without a fixed state and a small tolerance it ends elsewhere each time.
    precise = {"tol": 1e-10, "max_iter": 20_000, "random_state": 0}
    fit = LogisticRegression(C=100.0, l1_ratio=1.0, solver="liblinear", fit_intercept=False, **precise)
    fit.fit(np.vstack([terms, terms])[weights > 0], labels[weights > 0], sample_weight=weights[weights > 0])
    assert found is not None
    assert found.value == pytest.approx(1 / (1 + math.exp(-fit.coef_[0][1])), abs=1e-6)
