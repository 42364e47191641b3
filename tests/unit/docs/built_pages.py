"""Checks built pages: `python -m tests.unit.docs.built_pages FOLDER`. Nothing in them is fetched from another host."""

import sys
from html.parser import HTMLParser
from pathlib import Path

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


class Fetches(HTMLParser):
    """What a page fetches when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        url = dict(attributes).get(FETCHED.get(tag, ""))
        if url:
            self.urls.append(url)


def foreign(page: str) -> list[str]:
    """The addresses on other hosts that a page of HTML fetches."""
    parser = Fetches()
    parser.feed(page)
    return [url for url in parser.urls if url.startswith(("http:", "https:", "//"))]


def main(folder: Path) -> str | None:
    """Why the pages are not good, None if they are."""
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        return f"There are no pages in {folder}. Build them with `make docs`."
    found = {str(page): urls for page in pages if (urls := foreign(page.read_text(encoding="utf-8")))}
    return f"Pages fetch from other hosts: {found}. Take these out." if found else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
