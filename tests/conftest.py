"""What tests share: settings of their own, the real broker, fresh runs, the public data if it is there."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.settings import Settings

if TYPE_CHECKING:
    from tests.harness.browser import Tab

if threading.current_thread() is threading.main_thread():
    # What is started here must see these signals, though the tests run under nohup or in the background of a shell.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SEDI_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of processes first in each half of the list, and the quick ones last.

    Two workers begin with a half each, and who has done takes from the end of the other's: so no long test begins when
    there is nothing left to do beside it.
    """
    unit = [item for item in items if item.path.is_relative_to(ROOT / "tests" / "unit")]
    quick = set(unit)
    long = [item for item in items if item not in quick]
    modules = list(dict.fromkeys(item.path for item in long))
    halves: list[list[pytest.Item]] = [[], []]
    for number, module in enumerate(modules):
        halves[number % 2] += [item for item in long if item.path == module]
    cut = max(0, len(items) // 2 - len(halves[0]))
    items[:] = [*halves[0], *unit[:cut], *halves[1], *unit[cut:]]


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Settings for tests: a state folder always the same, so that a broker that a killed session left behind is found
    and ended by the next, and the project's cache of fetched jars and models."""
    return Settings(state_dir=ROOT / "var" / "tests", cache_dir=ROOT / ".cache")


@pytest.fixture(scope="session")
def broker(settings: Settings) -> Iterator[TemporaryBroker]:
    """The real broker, one for the session; tests that break one start their own with `temporary_broker`."""
    with temporary_broker(settings) as running:
        yield running


@pytest.fixture
def run() -> str:
    """A run name that no other test has."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Tab"]:
    """An empty page in a real browser, which ends with the test."""
    from tests.harness.browser import open_tab

    with open_tab(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with public data sets; a test that needs it is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"the public data sets are not at {DATA}; set SEDI_DATA to where they are")
    return DATA
