"""Child processes of a run: their status lines, and how they end."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.machine.supervisor import NEWS, Supervisor, write_news
from infra.settings import Settings

# Stands in for `sedi`: a module of that name in the folder that is searched first.
CHILD = """
import signal, sys, time
from infra.machine.supervisor import write_news
def report(line):
    print(line, flush=True)
    write_news(line)
signal.signal(signal.SIGTERM, lambda *_: report("stopping") or sys.exit(0) if "polite" in sys.argv else None)
report("step 1")
if sys.argv[1].isdigit():
    sys.exit(int(sys.argv[1]))
sys.stderr.write("\\rWriting model shards: 100%|##########| 1/1 [00:00<00:00]\\n")
sys.stderr.flush()
time.sleep(60)
"""


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    package = tmp_path / "first" / "sedi"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(CHILD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}{os.pathsep}{Path.cwd()}")
    monkeypatch.chdir(package.parent)
    made = Supervisor(Settings(state_dir=tmp_path), tmp_path / "logs")
    yield made
    made.kill()


def wait_for(supervisor: Supervisor, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in supervisor.tail("trainer"):
        assert time.monotonic() < deadline and supervisor.ended("trainer") is None, supervisor.tail("trainer")
        time.sleep(0.05)


def test_a_library_s_line_is_in_the_log_and_is_no_news(supervisor: Supervisor) -> None:
    supervisor.start("trainer", ["polite"])
    assert supervisor.news("trainer") == ""
    wait_for(supervisor, "Writing model shards")

    assert supervisor.news("trainer") == "step 1"
    assert supervisor.stop("trainer", 20) == 0
    assert supervisor.news("trainer") == "stopping"


def test_news_of_an_earlier_start_is_forgotten(supervisor: Supervisor) -> None:
    supervisor.logs.mkdir()
    (supervisor.logs / "trainer.news").write_text("step 400\n", encoding="utf-8")
    supervisor.start("trainer", [])

    assert supervisor.news("trainer") in ("", "step 1")


def test_a_child_that_was_asked_to_stop_and_does_not_is_ended_by_force(supervisor: Supervisor) -> None:
    supervisor.start("trainer", ["stubborn"])
    wait_for(supervisor, "step 1")
    supervisor.ask_to_stop("trainer")
    time.sleep(0.5)
    assert supervisor.ended("trainer") is None

    supervisor.kill_now()
    assert supervisor.children["trainer"].process.wait(10) == -signal.SIGKILL
    assert not supervisor.revive("trainer")


@pytest.mark.parametrize(("code", "again"), [(1, True), (2, False), (4, False), (5, False)])
def test_a_child_that_would_end_in_the_same_way_is_not_started_again(
    supervisor: Supervisor, code: int, again: bool
) -> None:
    supervisor.start("worker", [str(code)])
    assert supervisor.children["worker"].process.wait(20) == code
    supervisor.children["worker"].started -= 2  # the pause before a restart is over

    assert supervisor.refused("worker") is not again
    assert supervisor.revive("worker") is again


def test_a_process_without_a_supervisor_has_nowhere_to_put_its_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NEWS, raising=False)
    write_news("nothing happens")
