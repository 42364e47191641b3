"""The launcher passes on what the first rank sends, forwards signals, and ends all ranks when one dies.

The ranks here are small scripts that send given messages; real ones are in tests/integration/trainer.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from consumers.trainer.distributed.launcher import Launcher
from consumers.trainer.options import TrainOptions, TrainSummary
from infra.settings import Settings
from schemas.errors import ConfigurationError, RankRefused, TrainerError
from schemas.events import StepLogged

_SCRIPT = """
import os, psutil, signal, sys, time
sys.path.insert(0, {root!r})
rank = int(os.environ["RANK"])
open("{folder}/rank-" + str(rank) + ".pid", "w").write(str(os.getpid()))
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
from consumers.trainer.distributed.rank_process import RankStep, RankEnded, RankFailed, RankLine, encode_message
from consumers.trainer.options import TrainSummary
from schemas.events import BatchRow, StepLogged

def send(message):
    os.write(int(sys.argv[2]), encode_message(message) + b"\\n")

def step(number):
    row = BatchRow(id="r", slot=0, cluster=0, generated_offset=0)
    send(RankStep(StepLogged(
        step=number, loss=1.0, loss_variance=None, grad_norm=1.0, learning_rate=1.0, tokens=1, seconds=0.1, rows=(row,)
    )))

def end(reason="end_of_stream", steps=1):
    send(RankEnded(TrainSummary(
        run="r", reason=reason, epoch=1, steps=steps, steps_now=steps, rows=1, borrowed=0, tokens=1, seconds=0.1,
        around_s=0.0, waiting_s=0.0, windows_written=0, skipped_steps=0, rows_without_response=0, rows_truncated=0,
        rows_unreadable=0, rows_left_out=0, held_out=(), first_loss=1.0, last_loss=1.0, resumed_from=None,
        checkpoint=None, model_folder=None,
    )))

def until_stopped():
    while not stopped:
        time.sleep(0.01)

def say_pid():
    with open("{folder}/draft", "w") as file:
        file.write(str(os.getpid()))
    os.rename("{folder}/draft", "{folder}/pid")

def until_it_is_dead():
    while not os.path.exists("{folder}/pid"):
        time.sleep(0.01)
    pid = int(open("{folder}/pid").read())
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
        time.sleep(0.01)

"""


class Ranks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.steps: list[StepLogged] = []
        self.lines: list[str] = []

    def launch(self, body: str, processes: int = 2, on_step: Any = None) -> TrainSummary:
        """Run this script in each rank."""
        script = self._folder / "rank.py"
        script.write_text(_SCRIPT.format(root=str(Path.cwd()), folder=self._folder) + body, encoding="utf-8")
        options = TrainOptions(run="r", model="m", output=self._folder / "out")
        launcher = Launcher(
            on_step=self.steps.append if on_step is None else on_step,
            say=self.lines.append,
            command=(sys.executable, str(script)),
            grace_s=0.3,
        )
        return launcher.launch(options, Settings(), processes)

    def pids(self) -> list[int]:
        """The process ids of all ranks that were started."""
        return [int(file.read_text(encoding="utf-8")) for file in self._folder.glob("rank-*.pid")]


@pytest.fixture
def ranks(tmp_path: Path) -> Ranks:
    return Ranks(tmp_path)


def test_the_first_ranks_messages_are_passed_on_and_its_summary_returned(ranks: Ranks) -> None:
    summary = ranks.launch("send(RankLine(f'rank {rank}')); step(1); end(steps=10 + rank)", processes=1)
    assert (summary.steps, ranks.lines, [step.step for step in ranks.steps]) == (10, ["rank 0"], [1])


def test_every_rank_has_its_place_in_its_environment(ranks: Ranks) -> None:
    names = '("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")'
    ranks.launch(f"send(RankLine(' '.join(os.environ[name] for name in {names}))); end()", processes=3)
    assert sorted(ranks.lines) == [f"{rank} {rank} 3 127.0.0.1" for rank in range(3)]


def stop_us_at_the_second() -> Callable[[StepLogged], None]:
    """SIGTERM to this process when two ranks have sent a step."""
    received: list[StepLogged] = []

    def count(step: StepLogged) -> None:
        received.append(step)
        if len(received) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    return count


def test_a_signal_to_the_launcher_reaches_every_rank(ranks: Ranks) -> None:
    summary = ranks.launch("step(1); until_stopped(); end('stopped')", on_step=stop_us_at_the_second())
    assert summary.reason == "stopped"


def test_the_rank_that_was_killed_is_named_and_no_process_is_left(ranks: Ranks) -> None:
    with pytest.raises(TrainerError, match=r"Rank 1 of 3 was killed by SIGKILL .*memory") as raised:
        ranks.launch(
            "if rank == 0: until_stopped()\n"
            "elif rank == 1: print('my last words', flush=True); say_pid(); os.kill(os.getpid(), signal.SIGKILL)\n"
            "else: until_it_is_dead(); send(RankFailed('the others are gone', True)); sys.exit(1)",
            processes=3,
        )
    assert str(raised.value).endswith("my last words")
    assert len(ranks.pids()) == 3
    assert not [pid for pid in ranks.pids() if psutil.pid_exists(pid)]  # also not as a zombie


def test_a_rank_that_says_why_it_failed_is_quoted_and_not_those_that_lost_it(ranks: Ranks) -> None:
    with pytest.raises(TrainerError, match=r"^Rank 1 of 2: the disk is full$"):
        ranks.launch(
            "if rank == 0: until_it_is_dead(); send(RankFailed('the others are gone', True))\n"
            "else: send(RankFailed('the disk is full', False)); say_pid()\n"
            "sys.exit(1)"
        )


def test_a_permanent_error_of_a_rank_stays_permanent(ranks: Ranks) -> None:
    with pytest.raises(RankRefused, match=r"^Rank 0 of 1: not sealed by this installation$") as raised:
        ranks.launch("send(RankFailed('not sealed by this installation', False, True)); sys.exit(1)", processes=1)
    assert raised.value.permanent


def test_a_rank_that_crashes_shows_the_end_of_its_log(ranks: Ranks) -> None:
    with pytest.raises(TrainerError, match=r"ended with exit code 1.*(?s:.*)ZeroDivisionError"):
        ranks.launch("1 / 0", processes=1)


def test_stopped_before_they_had_begun_it_ends_as_on_ctrl_c(ranks: Ranks) -> None:
    with pytest.raises(KeyboardInterrupt):
        ranks.launch(
            "signal.signal(signal.SIGTERM, signal.SIG_DFL); step(1); time.sleep(60)", on_step=stop_us_at_the_second()
        )


def test_a_rank_of_another_launcher_does_not_launch(ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="Leave out --processes"):
        ranks.launch("end()")
