"""The page of `sedi report --compare`, made from hostile texts, in a real browser: it runs nothing, fetches nothing,
holds no element that a harmless text would not give, and shows the texts as they are, with controls made visible."""

import unicodedata
from pathlib import Path

import pytest
from msgspec.structs import replace

from consumers.compare import Comparison, compare
from consumers.compare.page import write_page
from consumers.compare.side import Side
from consumers.compare.tables import tables
from infra.visible import visible
from sedi.main import main
from tests.harness.browser import Tab
from tests.unit.consumers.recorded_run import source_of, whole_run
from tests.unit.sedi import hostile

HARMLESS = "plain"
HOSTILE = {
    "scripts": "</td></table></title></style><script>ran = 1; alert(1)</script><img src=x onerror='ran = 1; alert(1)'>"
    '"\'` autofocus tabindex=0 onfocus="ran = 1" onmouseover=\'ran = 1\' style="background:url(//192.0.2.1/)'
    "<a href='javascript:ran=1'>javascript:ran=1</a><button formaction=javascript:ran=1><svg onload=ran=1></svg>",
    "addresses": "<link rel=stylesheet href=//192.0.2.1/><iframe src=//192.0.2.1/></iframe><object data=x></object>"
    "<meta http-equiv=refresh content='0;url=http://192.0.2.1/'><base href=http://192.0.2.1/>"
    "</style><style>*{display:none;background:url(//192.0.2.1/)}</style>",
    "what swallows": r"$x^2$ $\frac{ \$ _ {{7*7}} ${7*7} &lt;b&gt; &amp;lt; &#60;script&#62;ran=1&#60;/script&#62; "
    "&nbsp &#0; <!-- --!> ]]> <![CDATA[ <?xml ?> <plaintext><textarea><noscript><template>",
    "controls": "a\x00\x07\x08\x1b]0;x\x07\x7f\x85\x9b2J\r\u061c\u200e\u202eE\u202c\u2066i\u2069\u2028\u2029\ud800z",
}
SHOWN_CONTROLS = r"a\x00\x07\x08\x1b]0;x\x07\x7f\x85\x9b2J\x0d\u061c\u200e\u202eE\u202c\u2066i\u2069\u2028\u2029\ud800z"

LEFT_TO_LANGUAGES = {"\u200b", "\u200c", "\u200d"}

# What stands in a page: the elements around the figures with their attributes' names, in order; those in figures.
ELEMENTS = """() => {
  const described = (element) => [element.localName, ...element.getAttributeNames()].join(" ");
  const all = [...document.querySelectorAll("*")];
  return {
    around: all.filter((element) => !element.closest("svg")).map(described),
    within: [...new Set(all.filter((element) => element.closest("svg")).map(described))].sort(),
    attributes: all.flatMap((element) => [...element.attributes].map(({ name, value }) => [name, value])),
  };
}"""


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare([source_of(whole_run("one")), source_of(whole_run("two"))])


def saying(found: Comparison, text: str) -> Comparison:
    """The comparison with every text that comes from a log in the place of another."""

    def side(told: Side) -> Side:
        words = replace(told.diversity.words, most=tuple((text, text, n) for _, _, n in told.diversity.words.most))
        return replace(
            told,
            name=f"{told.name}{text}",
            mode=text,
            rejected={f"{reason}{text}": number for reason, number in told.rejected.items()},
            diversity=replace(told.diversity, words=words),
            seeds=tuple(replace(seed, instruction=text) for seed in told.seeds),
        )

    return replace(found, sides=tuple(side(told) for told in found.sides))


def load(tab: Tab, file: Path) -> dict[str, list[str]]:
    """Load a page and wait; it must do nothing. Returns what it holds."""
    tab.requests.clear()
    tab.page.goto(file.as_uri())
    tab.page.wait_for_timeout(50)
    assert tab.page.evaluate("typeof ran") == "undefined"
    assert (tab.dialogs, tab.problems) == ([], [])
    assert tab.requests == [file.as_uri()]
    assert tab.page.url == file.as_uri()
    assert not controls(tab.page.evaluate("document.documentElement.textContent"))
    elements = tab.page.evaluate(ELEMENTS)
    for name, value in elements.pop("attributes"):
        assert not name.startswith("on")
        assert name.rpartition(":")[2] not in ("href", "src") or value.startswith("#")
        assert value.count("url(") == value.count("url(#")
    return elements


def controls(text: str) -> set[str]:
    """What is in a text that is not to be seen, but line ends and what languages need."""
    unseen = {character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return unseen - {"\n", "\t"} - LEFT_TO_LANGUAGES


@pytest.fixture(scope="module")
def harmless(found: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("harmless") / "page.html"
    write_page(saying(found, HARMLESS), file)
    return file


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_shown_and_do_nothing(
    kind: str, found: Comparison, harmless: Path, tab: Tab, tmp_path: Path
) -> None:
    said = saying(found, HOSTILE[kind])
    file = tmp_path / "page.html"
    write_page(said, file)

    assert load(tab, file) == load(tab, harmless)

    tab.page.goto(file.as_uri())
    cells = [visible(cell) for table in tables(said) for row in table.rows for cell in row]
    assert tab.page.locator("td").all_text_contents() == cells
    names = visible(", ".join(side.name for side in said.sides))
    assert (
        tab.page.locator("h1").text_content() == tab.page.locator("title").text_content() == f"Runs compared: {names}"
    )
    assert tab.page.locator("h1").is_visible()
    assert kind != "controls" or names == f"one{SHOWN_CONTROLS}, two{SHOWN_CONTROLS}"
    first = visible(f"run {said.sides[0].name}")[:48]
    assert tab.page.locator("#yield svg text").get_by_text(first, exact=True).count() == 1


def test_the_command_writes_such_a_page_of_hostile_archives(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(HOSTILE[kind] for kind in HOSTILE if kind != "controls") + hostile.HOSTILE
    monkeypatch.setattr(hostile, "HOSTILE", text)
    run, _ = hostile.archives(tmp_path)
    file = tmp_path / "page.html"
    assert main(["report", "--compare", "--from-files", str(run), "--from-files", str(run), "--html", str(file)]) == 0

    load(tab, file)
    cells = tab.page.locator("td").filter(has_text="alert(1)").all_text_contents()
    reason, seed = visible(text), visible(" ".join(text.split()))
    assert [cell for cell in cells if reason not in cell and seed not in cell] == []
    assert any(reason in cell for cell in cells)
    assert any(seed in cell for cell in cells)


def test_huge_texts_scroll_in_their_tables_and_not_the_page(found: Comparison, tab: Tab, tmp_path: Path) -> None:
    one, two = found.sides
    one = replace(one, name="w" * 63, seeds=tuple(replace(seed, instruction="W" * 200_000) for seed in one.seeds))
    write_page(replace(found, sides=(one, two)), tmp_path / "page.html")
    load(tab, tmp_path / "page.html")
    assert tab.page.locator("td").filter(has_text="W" * 200_000).count() == len(one.seeds)
    for width in (1280, 390):
        tab.page.set_viewport_size({"width": width, "height": 800})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
