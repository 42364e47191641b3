"""Trackers get a training's numbers, each step once, over a restart too. Those that are not installed are skipped.

Each runs in a process of its own: trackers leave threads and handlers behind.
"""

import json
import struct
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.record import trackers
from consumers.trainer.record.metrics import HeldOutLine, StepLine, TrainingLine
from consumers.trainer.record.trackers import TrackerWriter
from infra.distribution import TRACKERS
from schemas.errors import ConfigurationError

TRAINING = TrainingLine(run="demo", model="tiny")
GIVE = """
import sys
from pathlib import Path
from tests.unit.trainer.test_trackers import give
give(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
"""


def step(number: int) -> StepLine:
    return StepLine(
        step=number,
        epoch=1,
        loss=5.0 - number,
        loss_variance=None,
        grad_norm=0.5,
        learning_rate=1e-3,
        tokens=10,
        all_tokens=20,
        padding=0.0,
        memory_bytes=None,
        seconds=2.0,
        rows=4,
        borrowed=0,
    )


def give(name: str, output: Path, first: int, last: int) -> None:
    """Steps first to last, and the held-out loss before and after."""
    writer = TrackerWriter(name, output, TRAINING, {"learning_rate": 1e-3})  # type: ignore[arg-type]
    held_out = {"rows": 2, "tokens": 9, "seconds": 1.0, "file": "f", "sha256": "a"}
    writer.add(HeldOutLine(step=first - 1, loss=9.0, **held_out))  # type: ignore[arg-type]
    for number in range(first, last + 1):
        writer.add(step(number))
    writer.close()


def process(name: str, output: Path, first: int, last: int) -> None:
    arguments = [sys.executable, "-c", GIVE, name, str(output), str(first), str(last)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def read_mlflow(output: Path) -> list[tuple[int, float]]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{output / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("sedi").experiment_id])
    assert run.data.params["model"] == "tiny" and run.info.status == "FINISHED"
    assert run.data.metrics["held_out/loss"] == 9.0
    return sorted((each.step, each.value) for each in client.get_metric_history(run.info.run_id, "train/loss"))


def read_wandb(output: Path) -> list[tuple[int, float]]:
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for file in sorted((output / "wandb").glob("offline-run-*/run-*.wandb")):
        data, at = file.read_bytes(), 7  # LevelDB's form of a log, after the file's own header; shorter than a block
        while at < len(data):
            _, length, kind = struct.unpack_from("<IHB", data, at)
            assert kind == 1
            record = Record.FromString(data[at + 7 : at + 7 + length])
            at += 7 + length
            if record.WhichOneof("record_type") == "history":
                numbers = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                if "train/loss" in numbers:
                    found.append((record.history.step.num, float(numbers["train/loss"])))
    return found


def read_trackio(output: Path) -> list[tuple[int, float]]:
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = SQLiteStorage.get_runs("sedi")
    rows = SQLiteStorage.get_logs("sedi", run)
    return sorted((row["step"], row["train/loss"]) for row in rows if "train/loss" in row)


READERS: dict[str, Any] = {"mlflow": read_mlflow, "wandb": read_wandb, "trackio": read_trackio}


@pytest.mark.filterwarnings("default")  # what trackers do among themselves is theirs
@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_tracker_gets_each_step_once_over_a_restart_and_nothing_leaves_the_machine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    for variable in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    process(name, tmp_path, 1, 3)
    process(name, tmp_path, 2, 5)  # from a checkpoint after step 1
    assert json.loads((tmp_path / f"track-{name}.json").read_bytes())["step"] == 5
    assert READERS[name](tmp_path) == [(number, 5.0 - number) for number in range(1, 6)]


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_tracker_that_is_not_installed_is_named_with_its_part(name: str, tmp_path: Path) -> None:
    if find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ConfigurationError, match=rf"--track {name} needs the part \[{name}\]"):
        TrackerWriter(name, tmp_path, TRAINING, {})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


class _Tracker:
    """Takes steps, and hangs or fails at one of them."""

    def __init__(self, how: str) -> None:
        self.how, self.steps, self.go_on = how, list[int](), threading.Event()

    def log(self, numbers: dict[str, float], step: int) -> None:
        if step == 3 and self.how == "hangs":
            self.go_on.wait(30)
        if step == 3 and self.how == "fails":
            raise RuntimeError("503 Service Unavailable\nwith a page of HTML")
        self.steps.append(step)

    def finish(self) -> None:
        self.steps.append(-1)


@pytest.mark.parametrize("how", ["works", "hangs", "fails"])
def test_a_tracker_that_hangs_or_fails_holds_up_no_training(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, said = _Tracker(how), list[str]()
    monkeypatch.setattr(trackers, "require", lambda part, what: None)
    monkeypatch.setattr(trackers, "_CLOSE_S", 0.2 if how == "hangs" else 20.0)
    monkeypatch.setitem(trackers._CLIENTS, "mlflow", lambda *_: tracker)
    writer = TrackerWriter("mlflow", tmp_path, TRAINING, {}, say=said.append)
    begun = time.monotonic()
    for number in range(1, 6):
        writer.add(step(number))
    writer.close()
    assert time.monotonic() - begun < 5
    known = json.loads((tmp_path / "track-mlflow.json").read_bytes())["step"]
    tracker.go_on.set()
    if how == "works":
        assert (tracker.steps, said, known) == ([1, 2, 3, 4, 5, -1], [], 5)
    else:
        (line,) = said
        assert known == 2 and line.startswith("mlflow ") and "metrics.jsonl" in line and "HTML" not in line
