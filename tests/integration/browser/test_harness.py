"""The browser of the tests notes what a page does, reaches no other host, and leaves no process behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Error

from tests.browser.install import UNSUPPORTED, supported
from tests.conftest import ROOT
from tests.harness.browser import Tab, browser_processes, open_tab, wait_for_end

pytestmark = pytest.mark.skipif(not supported(), reason=UNSUPPORTED)

LEFT_ALONE = """
import sys
from pathlib import Path
from tests.harness.browser import open_tab

with open_tab(Path(sys.argv[1]), mark=sys.argv[2]) as tab:
    tab.page.set_content("<h1>Busy</h1>")
    print("open", flush=True)
    tab.page.evaluate("while (true);")
"""


def test_what_a_page_does_is_noted(tab: Tab) -> None:
    tab.page.set_content("<script>alert('a dialog'); console.error('a complaint'); nowhere();</script>")
    tab.page.evaluate("fetch('http://192.0.2.1/number').catch(() => fetch('http://name.example/')).catch(() => 0)")

    assert tab.dialogs == ["a dialog"]
    assert tab.problems[:2] == ["a complaint", "nowhere is not defined"]
    assert tab.problems[2:] == ["Failed to load resource: net::ERR_NAME_NOT_RESOLVED"] * 2
    assert tab.requests == ["http://192.0.2.1/number", "http://name.example/"]


def test_texts_have_a_width_in_the_fonts_that_come_with_it(tab: Tab) -> None:
    tab.page.set_content("<span>wide</span>")
    assert tab.page.evaluate("document.querySelector('span').getBoundingClientRect().width") > 10


def test_a_test_that_fails_leaves_no_process(tmp_path: Path) -> None:
    mark = uuid4().hex
    with pytest.raises(AssertionError), open_tab(tmp_path, mark=mark):
        assert len(browser_processes(mark)) > 3
        raise AssertionError
    assert browser_processes(mark) == []


def test_a_page_that_never_rests_is_ended_at_the_limit(tmp_path: Path) -> None:
    mark = uuid4().hex
    with pytest.raises(Error, match="closed"), open_tab(tmp_path, mark=mark, limit_s=1) as tab:
        started = browser_processes(mark)
        tab.page.evaluate("while (true);")
    assert wait_for_end(started, limit_s=0) == []
    asyncio.run(asyncio.sleep(0))  # no event loop is left running in the test's thread


def test_a_test_that_is_killed_takes_its_browser_along(tmp_path: Path) -> None:
    mark = uuid4().hex
    command = [sys.executable, "-c", LEFT_ALONE, str(tmp_path), mark]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as test:
        assert test.stdout is not None
        assert test.stdout.readline() == b"open\n"
        started = browser_processes(mark)
        assert len(started) > 3
        test.send_signal(signal.SIGKILL)
    running = wait_for_end(started, limit_s=20)
    for process in running:
        process.kill()
    assert running == []
