"""Pages use the terms of the glossary, and none of the words that CONTRIBUTING.md lists as avoided."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, ROOT, name_of, pages, prose

AVOIDED = re.compile(
    r"\b(told|tells?|whoever|somebody|stands? twice|batch begins again|mend(ed|s)?|heed(ed|s)?)\b", re.IGNORECASE
)
LIST = re.compile(r"^## Words that we avoid\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
# These are made from the program, whose help and tables have tests of their own.
LEFT_OUT = {DOCS / "commands.md", DOCS / "endpoints.md"}


@pytest.mark.parametrize("page", [page for page in pages() if page not in LEFT_OUT], ids=name_of)
def test_pages_avoid_the_words_that_contributing_lists(page: Path) -> None:
    assert [match.group(0) for match in AVOIDED.finditer(prose(LIST.sub("", page.read_text(encoding="utf-8"))))] == []


def test_contributing_lists_the_words_to_avoid() -> None:
    found = LIST.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert found is not None and len(AVOIDED.findall(found[0])) >= 5


def test_the_glossary_explains_each_term_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\*", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) > 50
    assert len(set(terms)) == len(terms)
