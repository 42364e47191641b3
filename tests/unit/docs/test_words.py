"""Pages use the terms of the glossary, and none of the words that CONTRIBUTING.md lists as avoided."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, ROOT, name_of, pages, prose

AVOIDED = re.compile(
    r"\b(told|tells?|whoever|somebody|stands? twice|batch begins again|mend(ed|s)?|heed(ed|s)?)\b", re.IGNORECASE
)
# The one lists these words; the others are made from the program, whose help and tables have tests of their own.
LEFT_OUT = {ROOT / "CONTRIBUTING.md", DOCS / "commands.md", DOCS / "endpoints.md"}


@pytest.mark.parametrize("page", [page for page in pages() if page not in LEFT_OUT], ids=name_of)
def test_pages_avoid_the_words_that_contributing_lists(page: Path) -> None:
    assert [match.group(0) for match in AVOIDED.finditer(prose(page.read_text(encoding="utf-8")))] == []


def test_the_glossary_explains_each_term_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\*", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) > 50
    assert len(set(terms)) == len(terms)
