"""The page and the pictures: they stand by themselves, hold nothing unescaped, and come out the same each time."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from consumers.compare import Comparison, compare
from consumers.compare.page import page, write_page
from consumers.compare.plots import FIGURES, write_plots
from schemas.errors import ConfigurationError
from tests.unit.consumers.recorded_run import ToldRun, source_of, whole_run

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def found() -> Comparison:
    """The second run has a seed that would be a script if it were not escaped."""
    mine = ToldRun("mine")
    mine.generation(0, ["Write a poem about autumn leaves", "Describe one thing about winter in the city"])
    compared = compare([source_of(whole_run()), source_of(mine)])
    first, second = compared.sides
    seed = msgspec.structs.replace(second.seeds[0], instruction="<script>alert(1)</script> </table> & $x^2$")
    second = msgspec.structs.replace(second, seeds=(seed, *second.seeds[1:]))
    return msgspec.structs.replace(compared, sides=(first, second))


@pytest.fixture(scope="module")
def read(found: Comparison) -> Reader:
    return Reader(page(found))


def test_the_page_is_whole_and_has_every_figure_as_svg(read: Reader) -> None:
    assert read.open == []
    assert read.seen.count("svg") == read.seen.count("figure") == len(FIGURES)
    assert "path" in read.seen


def test_it_fetches_nothing_and_runs_nothing(read: Reader) -> None:
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(read.seen)
    for tag, name, value in read.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert value is not None
            assert value.startswith("#"), (tag, name, value)
        for url in re.findall(r"url\((.*?)\)", value or ""):
            assert url.startswith("#")


def test_ids_of_different_figures_do_not_meet(found: Comparison) -> None:
    clips = [re.findall(r'<clipPath id="(.+?)"', part) for part in page(found).split("<figure ")[1:]]
    named = [name for part in clips for name in set(part)]
    assert named
    assert len(named) == len(set(named))


def test_what_came_from_a_log_is_escaped(read: Reader) -> None:
    assert "<script>alert(1)</script> </table> & $x^2$" in read.texts
    assert "script" not in read.seen


def test_the_same_comparison_gives_the_same_bytes(found: Comparison, tmp_path: Path) -> None:
    assert page(found) == page(found)
    for folder in ("a", "b"):
        assert [file.stem for file in write_plots(found, tmp_path / folder)] == list(FIGURES)
    for name in FIGURES:
        first = (tmp_path / "a" / f"{name}.png").read_bytes()
        assert first.startswith(b"\x89PNG")
        assert first == (tmp_path / "b" / f"{name}.png").read_bytes()


def test_runs_without_prices_or_kept_rows_are_drawn_too() -> None:
    empty = ToldRun("empty")
    assert page(compare([source_of(empty), source_of(whole_run())])).count("<svg") == len(FIGURES)


def test_where_nothing_can_be_written_it_says_so(found: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="page could not be written"):
        write_page(found, tmp_path / "missing" / "page.html")
    with pytest.raises(ConfigurationError, match="Plots could not be written"):
        write_plots(found, tmp_path / "file" / "plots")
