"""The page about endpoints is up to date."""

from pathlib import Path

from tests.conformance.table import page

PAGE = Path(__file__).parents[2] / "docs" / "endpoints.md"


def test_the_page_about_endpoints_is_what_the_forms_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.conformance.table > docs/endpoints.md"
