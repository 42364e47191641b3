"""Takes pictures of every page of `sedi web` into `docs/images`.

    python -m tests.browser.screenshots

The run is a recorded one of the tests (`tests/golden`), so the pictures change only when the page does.
"""

import sys
import tempfile
import time
from pathlib import Path

from consumers.index.follow import Follower
from consumers.web.server import PageServer
from infra.log.archive import ArchiveSource
from sedi.web import _explain
from tests.browser.install import ROOT
from tests.golden import HERE
from tests.harness.browser import Tab, open_tab
from tests.harness.page_server import serving

FOLDER = ROOT / "docs" / "images"
SIZE = {"width": 1100, "height": 720}
_WAIT_S = 30.0

PAGES = {
    "overview": ("overview", "#books"),
    "rows": ("rows?outcome=rejected", "#rows a.row"),
    "map": ("map", "#sample"),
    "log": ("log", "#log tbody tr"),
    "seeds": ("seeds", "table"),
    "training": ("training", "canvas"),
    "calls": ("calls", "table"),
    "what-if": ("what-if", "#would-keep"),
    "runs": ("runs", "table"),
}
"""Of each picture: the page's address, and what is there when it is drawn."""


def take(folder: Path, archive: Path = HERE / "undisturbed") -> list[Path]:
    """Take all pictures of an archive; returns the files."""
    with tempfile.TemporaryDirectory() as own:
        follower = Follower(ArchiveSource(archive), Path(own))
        server = PageServer({"demo": follower}, host="127.0.0.1", port=0, token=None, explain=_explain)
        try:
            with (
                serving(server) as address,
                open_tab(Path(own), viewport=SIZE, color_scheme="light", locale="en-US") as tab,
            ):
                return [_picture(tab, address, name, folder) for name in PAGES]
        finally:
            follower.close()


def _picture(tab: Tab, address: str, name: str, folder: Path) -> Path:
    where, drawn = PAGES[name]
    file = folder / f"web-{name}.png"
    tab.page.goto("about:blank")
    tab.page.goto(f"{address}#{where}")
    tab.page.locator(drawn).first.wait_for()
    until = time.monotonic() + _WAIT_S
    while name == "what-if" and " is at work" in (tab.page.locator("#passes").text_content() or ""):
        if time.monotonic() > until:
            raise TimeoutError("the thresholds are not decided")
        time.sleep(0.2)
    tab.page.wait_for_timeout(300)
    tab.page.screenshot(path=file)
    return file


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in take(FOLDER):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:,.0f} kB")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
