"""The page of `sedi eval report`, made from hostile texts, in a real browser: it runs nothing, fetches nothing, holds
no element that a harmless text would not give, and fits a narrow screen, light and dark."""

from pathlib import Path

import pytest

from consumers.evaluation.page import write_evaluation_page
from consumers.evaluation.report import evaluation_report
from consumers.evaluation.results import EvaluationReport
from consumers.evaluation.tables import tables
from infra.visible import visible
from tests.harness.browser import Tab
from tests.integration.browser.test_compare_page import HARMLESS, HOSTILE, load
from tests.unit.consumers.evaluation.evaluation_story import whole_evaluation, with_texts
from tests.unit.consumers.recorded_run import source_of


@pytest.fixture(scope="module")
def found() -> EvaluationReport:
    return saying("")


def saying(text: str) -> EvaluationReport:
    """A report of a log whose every text goes on with another."""
    return evaluation_report(source_of(with_texts(whole_evaluation(), text)))


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("harmless") / "page.html"
    write_evaluation_page(saying(HARMLESS), file)
    return file


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_shown_and_do_nothing(kind: str, harmless: Path, tab: Tab, tmp_path: Path) -> None:
    said = saying(HOSTILE[kind].replace("\ud800", ""))  # no event holds a lone surrogate
    file = tmp_path / "page.html"
    write_evaluation_page(said, file)

    assert load(tab, file) == load(tab, harmless)

    tab.page.goto(file.as_uri())
    cells = [visible(cell) for table in tables(said) for row in table.rows for cell in row]
    assert tab.page.locator("td").all_text_contents() == cells
    assert tab.page.locator("li").all_text_contents() == [visible(note) for note in said.notes]
    assert tab.page.locator("h1").text_content() == visible(f"Evaluation: run {said.run}")
    assert tab.page.locator("h1").is_visible()


@pytest.mark.parametrize("text", ["", "W" * 20_000], ids=["usual", "huge"])
def test_it_fits_narrow_and_wide_screens_and_its_bars_the_page(text: str, tab: Tab, tmp_path: Path) -> None:
    write_evaluation_page(saying(text), tmp_path / "page.html")
    load(tab, tmp_path / "page.html")
    for width in (1280, 390):
        tab.page.set_viewport_size({"width": width, "height": 800})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    widths = tab.page.evaluate("[...document.querySelectorAll('figure > svg')].map((one) => one.clientWidth)")
    assert len(widths) == 4
    assert all(300 < width <= 390 for width in widths)


def test_it_is_dark_where_the_reader_wants_it_dark_and_its_text_can_be_read(
    found: EvaluationReport, tab: Tab, tmp_path: Path
) -> None:
    write_evaluation_page(found, tmp_path / "page.html")
    load(tab, tmp_path / "page.html")
    shown = {}
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        style = "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        fill = "getComputedStyle(document.querySelector('figure > svg > text')).fill"
        shown[scheme] = tab.page.evaluate(f"[...{style}, {fill}]")
    assert shown["light"] == ["rgb(34, 34, 34)", "rgb(255, 255, 255)", "rgb(34, 34, 34)"]
    assert shown["dark"] == ["rgb(228, 228, 228)", "rgb(22, 24, 27)", "rgb(228, 228, 228)"]
