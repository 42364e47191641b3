"""A page in a real browser, for a test, with its requests, dialogs and errors.

Each test has its own browser, driven by Playwright. It reaches only this machine: other hosts do not resolve, and the
requests are recorded all the same. Its processes are killed after `limit_s` seconds, so a test that hangs fails. They
also end when the test's process is killed, because the pipes between them close.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from playwright.sync_api import ConsoleMessage, Dialog, Error, Page, sync_playwright

from tests.browser.install import CHROMIUM, FONTS, LIBRARIES, UNSUPPORTED, supported

MARK = "SEDI_TEST_BROWSER"
"""Environment variable of every process of a browser, with a value unique to the browser."""

_LIMIT_S = 60.0
_OPENING_S = 30.0
_WAIT_MS = 10_000.0
_SWITCHES = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]


@dataclass
class Tab:
    """A page, with what it did since it was opened.

    requests   requested URLs, in order; the page's own is the first
    dialogs    texts of alerts, confirmations and prompts; each was dismissed
    problems   errors and warnings on the console, uncaught exceptions, crashes
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _listen(self) -> None:
        self.page.on("dialog", self._dismiss)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("crash", lambda _: self.problems.append("the page crashed"))
        self.page.context.on("request", lambda request: self.requests.append(request.url))
        self.page.context.on("page", lambda page: self.problems.append(f"a window was opened: {page.url}"))


@contextmanager
def open_tab(folder: Path, *, limit_s: float = _LIMIT_S, mark: str | None = None, **context: Any) -> Iterator[Tab]:
    """An empty page in a new browser.

    folder     for the browser's own files
    limit_s    seconds after which its processes are killed
    mark       for `browser_processes`
    context    arguments of Playwright's `new_context`: `viewport`, `color_scheme`, ...

    Skips the test on a system without a build of the browser.
    """
    if not supported():
        pytest.skip(UNSUPPORTED)
    if not CHROMIUM.exists():
        raise RuntimeError(f"The browser of the tests is not at {CHROMIUM}. Install it: make browser")
    mark = mark or uuid4().hex
    environment = {
        **os.environ,
        MARK: mark,
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
        "FONTCONFIG_FILE": str(FONTS),
        "LD_LIBRARY_PATH": str(LIBRARIES),
    }
    started: list[psutil.Process] = []
    with _killed_after(_OPENING_S + limit_s, mark), ExitStack() as ends:
        ends.callback(lambda: _kill(started + browser_processes(mark)))
        with pytest.MonkeyPatch.context() as patch:
            for name in (MARK, "TMPDIR"):
                patch.setenv(name, environment[name])
            driver = sync_playwright().start()
        ends.callback(_end, driver.stop)
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=_SWITCHES, env=environment, chromium_sandbox=False, timeout=1000 * _OPENING_S
        )
        ends.callback(_end, browser.close)
        ends.callback(lambda: started.extend(browser_processes(mark)))
        tab = Tab(browser.new_context(**context).new_page())
        tab.page.set_default_timeout(_WAIT_MS)
        tab._listen()
        with _killed_after(limit_s, mark):
            yield tab


def browser_processes(mark: str) -> list[psutil.Process]:
    """The running processes of a browser: Playwright's driver, Chromium, and their descendants.

    Chromium's children overwrite their environment with their titles, so they are found by their parents.
    """
    marked = [process for process in psutil.process_iter() if _environment(process).get(MARK) == mark]
    found = set(marked)
    for process in marked:
        with suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return list(found)


@contextmanager
def _killed_after(limit_s: float, mark: str) -> Iterator[None]:
    timer = threading.Timer(limit_s, lambda: _kill(browser_processes(mark)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _end(close: Callable[[], None]) -> None:
    with suppress(Error):  # it has ended already
        close()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.pid != os.getpid() else {}
    except psutil.Error:
        return {}


def wait_for_end(processes: list[psutil.Process], limit_s: float = _WAIT_MS / 1000) -> list[psutil.Process]:
    """Wait until all have ended (or are zombies); returns those that still run after `limit_s` seconds."""
    until = time.monotonic() + limit_s
    while (running := [process for process in processes if _runs(process)]) and time.monotonic() < until:
        time.sleep(0.01)
    return running


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_end(processes)
