"""Puts rows on a run's log, trains on it in this process or in one that can be killed, and reads what was logged."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from consumers.trainer.run import TrainOptions, TrainSummary, train
from infra import topics
from infra.log import LogReader, LogWriter
from infra.settings import Settings, environment_of
from schemas import ids
from schemas.events import RunConfigured, RunStarted, RunStopped, StepLogged, TrainingLogged
from schemas.policy import policy_for
from tests.unit.trainer.tiny import kept

CLUSTERS, WINDOW = 4, 5

# A trainer that says each step and then waits for ever at the one it is told, to be killed there.
_CHILD = """
import sys, time, msgspec
from pathlib import Path
from consumers.trainer.run import TrainOptions, train
from infra.settings import load
given, halt = msgspec.json.decode(sys.argv[1]), int(sys.argv[2])
options = TrainOptions(**{**given, "output": Path(given["output"])})
def on_step(step):
    print(msgspec.json.encode(step).decode(), flush=True)
    if step.step == halt:
        time.sleep(120)
train(options, load(), on_step=on_step)
"""


@dataclass
class TrainerRig:
    settings: Settings
    run: str
    trainee: Path
    folder: Path
    said: list[str] = field(default_factory=list)

    def configure(self, partitions: int = CLUSTERS) -> None:
        topics.apply(self.settings, self.run, partitions)
        policy = policy_for("sedi", batch_size=CLUSTERS, window_steps=WINDOW)
        event = RunConfigured(run=self.run, policy=policy, seeds=(), versions={})
        with self.writer() as writer:
            writer.write(event, key=self.run, id=ids.run_id(self.run))

    def writer(self) -> LogWriter:
        return LogWriter(self.settings, self.run, "test")

    def write(self, clusters: Iterable[int], first: int = 0) -> None:
        """One row for each cluster named, in this order, with generated offsets from `first` on."""
        with self.writer() as writer:
            rows = [kept(number, cluster) for number, cluster in enumerate(clusters, start=first)]
            for sent in [writer.send(row, key=row.id, id=row.id, partition=row.cluster) for row in rows]:
                writer.wait(sent)

    def stop_run(self) -> None:
        with self.writer() as writer:
            writer.write(RunStopped(reason="asked"), key=self.run, id=ids.child(ids.run_id(self.run), "stopped"))

    def start_run(self) -> None:
        with self.writer() as writer:
            writer.write(RunStarted(versions={}), key=self.run, id=ids.child(ids.run_id(self.run), "started"))

    def options(self, **changes: Any) -> TrainOptions:
        given: dict[str, Any] = {
            "run": self.run, "model": str(self.trainee), "output": self.folder / "out", "until_end": True,
            "precision": "fp32", "device": "cpu", "threads": 1, "learning_rate": 1e-2, "planned_steps": 100, **changes,
        }  # fmt: skip
        return TrainOptions(**given)

    def train(
        self, *, on_step: Callable[[StepLogged], None] | None = None, **changes: Any
    ) -> tuple[TrainSummary, list[StepLogged]]:
        """Train in this process; what it says is in `said`."""
        steps: list[StepLogged] = []

        def seen(step: StepLogged) -> None:
            steps.append(step)
            if on_step is not None:
                on_step(step)

        return train(self.options(**changes), self.settings, on_step=seen, say=self.said.append), steps

    def train_until_killed(self, at: int, **changes: Any) -> list[StepLogged]:
        """Train in a process of its own and SIGKILL it right after step `at`, its window written and nothing saved."""
        options = msgspec.json.encode(asdict(self.options(**changes)), enc_hook=str).decode()
        command = [sys.executable, "-c", _CHILD, options, str(at)]
        environment = {**os.environ, **environment_of(self.settings), "PYTHONPATH": str(Path.cwd())}
        steps: list[StepLogged] = []
        with (
            (self.folder / "child.log").open("a") as log,
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as child,
        ):
            assert child.stdout is not None
            for line in child.stdout:
                steps.append(msgspec.json.decode(line, type=StepLogged))
                if steps[-1].step == at:
                    child.kill()
        assert steps and steps[-1].step == at, (self.folder / "child.log").read_text()
        return steps

    def windows(self) -> list[TrainingLogged]:
        """The training log, record by record, repeats included."""
        with LogReader(self.settings, self.run, ["training-log"]) as reader:
            return [record.event for record in reader.read_to_end() if isinstance(record.event, TrainingLogged)]

    def logged_steps(self) -> list[int]:
        return [step.step for window in self.windows() for step in window.steps]
