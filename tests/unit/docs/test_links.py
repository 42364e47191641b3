"""Links in the pages lead somewhere: to a file, and to a heading in it."""

from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, ROOT, anchors, links, name_of, pages


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_relative_links_lead_to_a_file_and_a_heading_in_it(page: Path) -> None:
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        known = target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))
        if not known:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_pages_in_docs_link_to_nothing_outside_of_it(page: Path) -> None:
    """What is outside is not part of the built pages."""
    relative = [link for link in links(page.read_text(encoding="utf-8")) if "://" not in link]
    outside = [link for link in relative if not (page.parent / link.partition("#")[0]).resolve().is_relative_to(DOCS)]
    assert outside == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, next_pages = set(), [ROOT / "README.md", DOCS / "index.md"]
    while next_pages:
        page = next_pages.pop()
        if page in reached or not page.exists() or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (link.partition("#")[0] for link in links(page.read_text(encoding="utf-8")) if "://" not in link)
        next_pages += [(page.parent / target).resolve() for target in targets if target]
    assert [name_of(page) for page in pages() if page not in reached] == []
