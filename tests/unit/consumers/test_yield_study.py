"""The yield study's savings from known curves, and a small study as a page."""

from pathlib import Path

import pytest

from consumers.folds.yield_curve import YieldPoint
from consumers.yield_study.page import BEGIN, END, write_page
from consumers.yield_study.savings import SideFits, mean_over_seeds, saved_as_measured, saved_at
from consumers.yield_study.study import study_streams
from consumers.yield_study.words import sentences
from schemas.errors import ConfigurationError
from tests.unit.consumers.recorded_run import source_of, whole_run
from tests.unit.consumers.test_yield_curve import drawn


def test_savings_are_those_of_the_curves_as_measured_and_beyond() -> None:
    def ours(kept: int) -> float:
        return 0.9

    def theirs(kept: int) -> float:
        return 0.9 / (1 + kept / 4000)

    streams = {
        "ours": [drawn(ours, 3000, seed) for seed in (1, 2, 3)],
        "theirs": [drawn(theirs, 3000, seed) for seed in (4, 5, 6)],
    }
    measured = saved_as_measured("ours", "theirs", streams)
    assert min(measured.kept) >= 3000 and not measured.extrapolated
    # the integral of 1 + k / 4000 over 3,000 kept is 1.375 times that of 1
    assert measured.saved.mean == pytest.approx(1 - 1 / 1.375, abs=0.02)
    assert measured.with_answers < measured.saved.mean / 3

    fits = {name: SideFits(of) for name, of in streams.items()}
    beyond = saved_at("ours", "theirs", fits, 10_000)
    assert beyond.extrapolated and set(beyond.by_other_form) == {"hyperbolic", "exponential", "power"}
    assert beyond.by_other_form["hyperbolic"] == pytest.approx(1 - 1 / 2.25, abs=0.05)
    within = saved_at("ours", "theirs", fits, 2000)
    assert not within.extrapolated
    assert within.saved.mean == pytest.approx(1 - 1 / 1.25, abs=0.03)


def test_the_interval_over_rng_seeds_is_students() -> None:
    found = mean_over_seeds([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.2 - 4.3027 * 0.1 / 3**0.5, abs=1e-4),
        pytest.approx(0.4484, 1e-3),
    )
    assert mean_over_seeds([0.1]).low is None


def test_a_study_goes_into_a_page_between_its_marks(tmp_path: Path) -> None:
    study = study_streams([source_of(whole_run())], 10_000)
    assert study.streams[0].generations == 6
    assert {curve.side for curve in study.curves} >= {
        "self-instruct 0.7",
        "self-instruct 0.85",
        "sedi 0.5",
        "sedi 0.95",
    }
    page = tmp_path / "yield.md"
    page.write_text(f"# Yield\n\n{BEGIN}\nmeasured before\n{END}\n\nWhat differs.\n", encoding="utf-8")
    for _ in range(2):
        written = write_page(study, page)
    assert [file.name for file in written] == ["yield.md", "yield-curves.svg", "yield-sweep.svg"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Yield\n") and text.endswith(f"{END}\n\nWhat differs.\n") and "measured before" not in text
    assert all(sentence.replace("<", "&lt;") in text for sentence in sentences(study))
    drawing = written[1].read_bytes()
    write_page(study, page)
    assert written[1].read_bytes() == drawing
    page.write_text("# Yield\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no place"):
        write_page(study, page)
    with pytest.raises(ConfigurationError, match="no stream"):
        study_streams([], 10)


def test_a_point_without_usage_makes_all_later_tokens_unknown() -> None:
    fits = SideFits([[YieldPoint(5, 7, 1, 100), YieldPoint(9, 14, 2, None)]])
    assert fits.pooled.tokens_to(9, 100) is None
    assert fits.calls_to(0, 9) == 2
    assert fits.calls_to(0, 18) == pytest.approx(4)
