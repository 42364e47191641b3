"""The check of built pages sees what a page fetches."""

from tests.unit.docs.built_pages import foreign


def test_what_a_page_fetches_from_other_hosts_is_found() -> None:
    page = """<link href="https://fonts.example/a.css"><script src="//cdn.example/b.js"></script>
        <img src="run.svg"><script src="assets/main.js"></script><a href="https://keepachangelog.com">a link</a>"""
    assert foreign(page) == ["https://fonts.example/a.css", "//cdn.example/b.js"]
