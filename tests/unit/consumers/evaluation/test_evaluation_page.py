"""The page and the figures: self-contained, strict, the same each time, with every number of the tables."""

from pathlib import Path

import pytest

from consumers.evaluation.drawing import comparison_svg
from consumers.evaluation.page import evaluation_page, write_evaluation_page
from consumers.evaluation.plots import write_evaluation_plots
from consumers.evaluation.report import evaluation_report
from consumers.evaluation.results import EvaluationReport
from consumers.evaluation.tables import tables
from schemas.errors import ConfigurationError
from tests.unit.consumers.evaluation.evaluation_story import EvaluationStory, whole_evaluation
from tests.unit.consumers.recorded_run import source_of
from tests.unit.consumers.test_compare_page import Reader


@pytest.fixture(scope="module")
def found() -> EvaluationReport:
    return evaluation_report(source_of(whole_evaluation()))


def test_the_page_is_well_formed_without_script_and_holds_every_cell_and_note(found: EvaluationReport) -> None:
    read = Reader(evaluation_page(found))

    assert read.open == []
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(read.seen)
    assert [name for _, name, _ in read.attributes if name.startswith("on") or name in ("href", "src", "style")] == []
    texts = set(read.texts)
    cells = {cell for table in tables(found) for row in table.rows for cell in row}
    assert cells - texts == set()
    assert set(found.notes) - texts == set()
    assert read.seen.count("figure") == 4  # benchmarks, and three pairs of models
    assert evaluation_page(found) == evaluation_page(found)


def test_bars_of_a_comparison_share_the_width_and_are_named_in_words(found: EvaluationReport) -> None:
    score = found.comparisons[0]

    drawn = Reader(comparison_svg([score]))

    assert f"0 win, {score.tie} tie, {score.lose} lose of {score.scored}" in " ".join(drawn.texts)
    rects = [value for tag, name, value in drawn.attributes if tag == "rect" and name == "width"]
    assert sum(float(str(width).rstrip("%")) for width in rects) == pytest.approx(100, abs=0.02)
    classes = [value for tag, name, value in drawn.attributes if tag == "rect" and name == "class"]
    assert classes == ["tie", "lose"]  # none for no win


def test_a_report_without_evaluations_is_a_page_that_says_so() -> None:
    story = EvaluationStory()
    story.configure()
    assert "There is no evaluation on this run's log." in evaluation_page(evaluation_report(source_of(story)))


def test_a_page_or_figures_that_cannot_be_written_are_an_error(found: EvaluationReport, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="could not be written"):
        write_evaluation_page(found, tmp_path / "file" / "page.html")
    with pytest.raises(ConfigurationError, match="could not be written"):
        write_evaluation_plots(found, tmp_path / "file" / "plots")


def test_figures_are_the_same_each_time(found: EvaluationReport, tmp_path: Path) -> None:
    first, second = (write_evaluation_plots(found, tmp_path / name) for name in ("a", "b"))
    assert [file.name for file in first] == ["benchmarks.png", *(f"comparison-{n}.png" for n in (1, 2, 3))]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
