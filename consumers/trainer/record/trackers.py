"""A training's numbers in a tracker beside TensorBoard: MLflow, Weights & Biases or Trackio.

Nothing leaves this machine unless the tracker's own variables say so: MLflow writes to a file in the output folder
without `MLFLOW_TRACKING_URI`; W&B is offline, with its files in the output folder, without `WANDB_MODE` or
`WANDB_API_KEY`; Trackio is local without `TRACKIO_SPACE_ID`.

A training that goes on goes on with the tracker's run: its name there, and the last step that it was given, are in
`track-<name>.json` in the output folder. So a step that is trained again is not tracked again.

A tracker holds up no training. Numbers go to it in a thread; those that a slow one has no room for are dropped, one
that fails gets no more, and the end waits for it for 30 seconds.
"""

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Full, Queue
from typing import Any, Literal, Protocol

import msgspec

from consumers.trainer.record.metrics import HeldOutLine, StepLine, TrainingLine, scalars
from infra.distribution import require
from infra.visible import first_line

TrackerName = Literal["mlflow", "wandb", "trackio"]
Config = Mapping[str, str | int | float | bool | None]

_PROJECT = "sedi"
_WAITING = 10_000  # lines for a tracker that is slow
_CLOSE_S = 30.0


class TrackedRun(msgspec.Struct, kw_only=True):
    """A training's run at a tracker. `step`: the last one given; `held_out`: the last one whose evaluation was."""

    training: TrainingLine
    id: str
    step: int = -1
    held_out: int = -1


class TrackerClient(Protocol):
    """Takes numbers of one run."""

    def log(self, numbers: dict[str, float], step: int) -> None: ...

    def finish(self) -> None: ...


class TrackerWriter:
    """Gives the numbers of a training to a tracker. `fresh`: as a new run there; `say` gets what goes wrong.

    Raises ConfigurationError when the tracker is not installed.
    """

    def __init__(
        self,
        name: TrackerName,
        output: Path,
        training: TrainingLine,
        config: Config,
        *,
        fresh: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        require(name, f"--track {name}")
        self._file = output / f"track-{name}.json"
        known = None if fresh else _known(self._file, training)
        self._run = known or TrackedRun(training=training, id=uuid.uuid4().hex)
        title = f"{training.run}-{self._run.id[:6]}"
        about = {"run": training.run, "model": training.model, "task": training.task, **config}
        self._client = _CLIENTS[name](self._run, title, output, about)
        self._save()
        self._name, self._say = name, say
        self._lines: Queue[StepLine | HeldOutLine | None] = Queue(_WAITING)
        self._dropped = 0
        self._giving = threading.Thread(target=self._give_all, name=f"track-{name}", daemon=True)
        self._giving.start()

    def add(self, line: StepLine | HeldOutLine) -> None:
        """Give a line's numbers; those of a step that was given before are left out."""
        if not self._giving.is_alive():
            return
        try:
            self._lines.put_nowait(line)
        except Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait until everything is given, for at most 30 seconds."""
        try:
            self._lines.put(None, timeout=_CLOSE_S if self._giving.is_alive() else 0.0)
        except Full:
            pass
        else:
            self._giving.join(_CLOSE_S)
        if self._giving.is_alive():
            self._say(f"{self._name} does not take the last numbers; `metrics.jsonl` has them.")
        elif self._dropped:
            self._say(f"{self._name} was too slow for {self._dropped} lines; `metrics.jsonl` has them.")

    def _give_all(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                self._give(line)
            self._client.finish()
        except Exception as error:  # noqa: BLE001 - no tracker ends a training, whatever its library raises
            self._say(f"{self._name} gets no more numbers, `metrics.jsonl` has them: {first_line(error)}")

    def _give(self, line: StepLine | HeldOutLine) -> None:
        last = "held_out" if isinstance(line, HeldOutLine) else "step"
        if line.step <= getattr(self._run, last):
            return
        self._client.log({tag: number for tag, number in scalars(line).items() if number is not None}, line.step)
        setattr(self._run, last, line.step)
        self._save()

    def _save(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self._run))
        draft.replace(self._file)


def _known(file: Path, training: TrainingLine) -> TrackedRun | None:
    """The run that this training had before."""
    if not file.is_file():
        return None
    try:
        found = msgspec.json.decode(file.read_bytes(), type=TrackedRun)
    except msgspec.MsgspecError:
        return None
    return found if found.training == training else None


class _MLflow:
    def __init__(self, run: TrackedRun, title: str, output: Path, config: Config) -> None:
        import mlflow

        at = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(output / 'mlflow.db').resolve()}"
        self._client = mlflow.MlflowClient(tracking_uri=at)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        found = self._client.search_runs([experiment_id], f"tags.`sedi.id` = '{run.id}'", max_results=1)
        if found:
            self._run_id = found[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            return
        tags = {"sedi.id": run.id}
        self._run_id = self._client.create_run(experiment_id, run_name=title, tags=tags).info.run_id
        for key, value in config.items():
            self._client.log_param(self._run_id, key, value)

    def log(self, numbers: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = _now_ms()
        self._client.log_batch(self._run_id, metrics=[Metric(tag, value, now, step) for tag, value in numbers.items()])

    def finish(self) -> None:
        self._client.set_terminated(self._run_id)


class _WandB:
    def __init__(self, run: TrackedRun, title: str, output: Path, config: Config) -> None:
        import wandb

        asked: Any = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=title,
            id=run.id,
            resume="allow",
            dir=str(output),
            config=dict(config),
            mode=asked,
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, silent=True),
        )

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._run.log(numbers, step=step)

    def finish(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, run: TrackedRun, title: str, output: Path, config: Config) -> None:
        import trackio

        self._run: Any = trackio.init(project=_PROJECT, name=title, resume="allow", config=dict(config), embed=False)

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._run.log(numbers, step=step)

    def finish(self) -> None:
        self._run.finish()


_CLIENTS: dict[str, Callable[[TrackedRun, str, Path, Config], TrackerClient]] = {
    "mlflow": _MLflow,
    "wandb": _WandB,
    "trackio": _Trackio,
}


def _now_ms() -> int:
    import time

    return int(time.time() * 1000)
