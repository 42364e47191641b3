"""The page beside a run: it answers while the run is there, ends with it, and stops no run where it cannot start."""

import json
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker, free_port
from infra.log.writer import LogWriter
from infra.settings import Settings
from sedi.run_page import page_of
from tests.unit.consumers.recorded_run import whole_run


def test_a_page_is_there_as_long_as_its_run(broker: TemporaryBroker, run: str) -> None:
    story, settings = whole_run(run), broker.settings
    apply(settings, run, story.policy.clusters)
    with LogWriter(settings, run, "test") as log:
        story.write(log)
    said: list[str] = []
    with page_of(settings, run, said.append, wanted=True):
        assert said[0].startswith("The page of the run: http://127.0.0.1:")
        address = said[0].rpartition(" ")[2]
        with urlopen(f"{address}api/runs", timeout=10) as answer:
            assert json.load(answer)["runs"][0]["name"] == run
    with pytest.raises(URLError):
        urlopen(address, timeout=10)


def test_a_run_goes_on_where_its_page_cannot_start(settings: Settings, run: str) -> None:
    nowhere = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    said: list[str] = []
    with page_of(nowhere, run, said.append, wanted=True):
        pass
    assert said[0].startswith("The page could not start; the run goes on without it: ") and "Nothing listens" in said[0]


def test_a_run_says_that_its_page_ended_before_it(
    settings: Settings, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = """import json; print(json.dumps({"address": "http://127.0.0.1:1/"})); print("a fault")"""
    monkeypatch.setattr("infra.machine.supervisor.python_module", lambda *_: [sys.executable, "-c", page])
    said: list[str] = []
    with page_of(settings, run, said.append, wanted=True):
        until = time.monotonic() + 10
        while not (settings.state_dir / run / "logs" / "page.log").read_text().endswith("a fault\n"):
            assert time.monotonic() < until
        time.sleep(0.5)
    assert said[0] == "The page of the run: http://127.0.0.1:1/"
    assert said[1].startswith("The page ended before the run: ") and said[1].endswith("a fault")
