"""Puts rows on a run's log, trains on it in this process or in one that can be killed, and reads what was logged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.trainer.distributed.launcher import Launcher
from consumers.trainer.run import TrainOptions, TrainSummary, train
from infra.cluster import topics
from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from schemas.events import InstructionJudged, Judge, RunConfigured, RunStarted, RunStopped, StepLogged, TrainingLogged
from schemas.policy import policy_for
from streams.core.judging import SCALE
from tests.integration.trainer.lives import live
from tests.unit.trainer.tiny import answered, kept

CLUSTERS, WINDOW = 4, 5


@dataclass
class TrainerRig:
    settings: Settings
    run: str
    model_folder: Path
    folder: Path
    lines: list[str] = field(default_factory=list)

    def configure(self, partitions: int = CLUSTERS, **policy: Any) -> None:
        topics.apply(self.settings, self.run, partitions)
        chosen = policy_for("sedi", batch_size=CLUSTERS, window_steps=WINDOW, **policy)
        event = RunConfigured(run=self.run, policy=chosen, seeds=(), versions={})
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

    def answer(self, clusters: Mapping[int, int], reasons: Mapping[int, str]) -> None:
        """Answers to the rows with these generated offsets, in these clusters; `reasons`: why some are not used."""
        with self.writer() as writer:
            for number, cluster in clusters.items():
                row = kept(number, cluster)
                event = answered(row, reasons.get(number))
                writer.write(event, key=row.id, id=ids.answered_id(row.id), partition=cluster)

    def judge(self, scores: Mapping[int, float]) -> None:
        """What a judge made of the rows with these generated offsets."""
        judge = Judge(backend="openai", model="big", rubric="accurate", version=1)
        with self.writer() as writer:
            for number, score in scores.items():
                row = kept(number, 0)
                event = InstructionJudged(
                    kept_id=row.id,
                    generated_offset=number,
                    place=0,
                    cluster=number % CLUSTERS,
                    judge=judge,
                    scale=SCALE,
                    score=score,
                    reason="so",
                    answers=(),
                    cost_usd=None,
                )
                writer.write(event, key=row.id, id=ids.judgement_id(row.id, judge.name))

    def stop_run(self) -> None:
        with self.writer() as writer:
            writer.write(RunStopped(reason="asked"), key=self.run, id=ids.child(ids.run_id(self.run), "stopped"))

    def start_run(self) -> None:
        with self.writer() as writer:
            writer.write(RunStarted(versions={}), key=self.run, id=ids.child(ids.run_id(self.run), "started"))

    def options(self, **changes: Any) -> TrainOptions:
        given: dict[str, Any] = {
            "run": self.run,
            "model": str(self.model_folder),
            "output": self.folder / "out",
            "until_end": True,
            "precision": "fp32",
            "device": "cpu",
            "threads": 1,
            "learning_rate": 1e-2,
            "planned_steps": 100,
            **changes,
        }
        return TrainOptions(**given)

    def train(
        self, *, on_step: Callable[[StepLogged], None] | None = None, **changes: Any
    ) -> tuple[TrainSummary, list[StepLogged]]:
        """Train in this process; what it says is in `lines`."""
        steps: list[StepLogged] = []

        def seen(step: StepLogged) -> None:
            steps.append(step)
            if on_step is not None:
                on_step(step)

        return train(self.options(**changes), self.settings, on_step=seen, say=self.lines.append), steps

    def launch(
        self, processes: int, *, on_step: Callable[[StepLogged], None] | None = None, **changes: Any
    ) -> tuple[TrainSummary, list[StepLogged]]:
        """Train in so many processes; what the first says is in `lines`."""
        steps: list[StepLogged] = []

        def seen(step: StepLogged) -> None:
            steps.append(step)
            if on_step is not None:
                on_step(step)

        launcher = Launcher(on_step=seen, say=self.lines.append)
        return launcher.launch(self.options(**changes), self.settings, processes), steps

    def train_until_killed(self, at: int, *, after_s: float | None = None, **changes: Any) -> list[StepLogged]:
        """Train in a process of its own and SIGKILL it right after step `at`, its window written and nothing saved; or
        so many seconds after that step, wherever it is then."""
        steps, error = live(
            self.options(**changes),
            self.settings,
            self.folder / "lives.log",
            halt_at=at if after_s is None else at + 1,  # so that it is still there
            kill_at=lambda step: after_s or 0.0 if step.step >= at else None,
        )
        assert error is None and steps[-1].step >= at, error
        return steps

    def train_until_full(self, at: int, **changes: Any) -> str:
        """Train in a process of its own whose disk is full after step `at`; what it ends with."""
        _, error = live(self.options(**changes), self.settings, self.folder / "lives.log", full_at=at)
        assert error is not None
        return error

    def windows(self) -> list[TrainingLogged]:
        """The training log, record by record, repeats included."""
        with LogReader(self.settings, self.run, ["training-log"]) as reader:
            return [record.event for record in reader.read_to_end() if isinstance(record.event, TrainingLogged)]

    def logged_steps(self) -> list[int]:
        return [step.step for window in self.windows() for step in window.steps]
