"""docs/kinds-tried.md counts what the tests try."""

from tests.unit.docs.kinds_page import PAGE, page


def test_the_page_of_kinds_is_what_the_tests_try() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.unit.docs.kinds_page"
