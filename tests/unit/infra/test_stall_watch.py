"""A main loop that stands still is seen: its stacks are dumped, once."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from infra.machine.stall_watch import StallWatch, stalls_dumped
from infra.metrics.health import Heartbeat

STUCK = """
import asyncio, time
from infra.observed import observed
from infra.settings import load

def wait_for_what_never_comes():
    time.sleep({stuck})

async def main(seen):
    turning = asyncio.create_task(seen.turn())
    await asyncio.sleep(0.05)
    wait_for_what_never_comes()
    await asyncio.sleep(1.2)
    wait_for_what_never_comes()
    await asyncio.sleep(0.3)
    turning.cancel()

with observed(load(state_dir="{folder}", stall_s=1.05), "demo", "worker") as seen:
    asyncio.run(main(seen))
"""


def test_each_stall_of_an_event_loop_dumps_the_stacks_once_and_says_when_it_is_over(tmp_path: object) -> None:
    script = STUCK.format(stuck=2.0, folder=tmp_path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.count("STALLED: the main loop of worker of run 'demo' has not turned for") == 2
    assert done.stderr.count("wait_for_what_never_comes") == 2
    assert done.stderr.count("The main loop of worker of run 'demo' turns again.") >= 1


def test_a_loop_that_turns_or_has_not_begun_is_no_stall(capfd: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    heartbeat = Heartbeat(5.0, lambda: clock[0])
    watch = StallWatch(heartbeat, "it", sys.__stderr__)  # type: ignore[arg-type]
    clock[0] = 100.0
    watch.look()
    heartbeat.beat()
    clock[0] = 105.0
    watch.look()
    assert watch.stalls == 0 and capfd.readouterr().err == ""


def test_where_standard_error_is_no_file_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    with stalls_dumped(Heartbeat(1.0), "it") as stalls:
        assert stalls() == 0


def test_a_process_that_was_stopped_as_a_whole_has_not_stalled(tmp_path: Path) -> None:
    now, cpu = [0.0], [0.0]
    heartbeat = Heartbeat(100.0, lambda: now[0])
    heartbeat.beat()
    with (tmp_path / "log").open("w") as log:
        watch = StallWatch(heartbeat, "it", log, lambda: cpu[0])
        watch.look()
        now[0] += 5_000.0  # a night with the lid closed
        watch.look()
        assert watch.stalls == 0 and not heartbeat.stuck
        now[0], cpu[0] = now[0] + 5_000.0, cpu[0] + 4_900.0  # a library that computes and lets no other thread run
        watch.look()
    assert watch.stalls == 1
