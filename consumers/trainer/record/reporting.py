"""Reports a training besides the log: `metrics.jsonl`, TensorBoard, and the held-out loss.

The first rank writes. All ranks evaluate at the same steps: before the first, every `eval_every`, and at the end. A
training that was stopped and resumed reports each step and each evaluation once.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.held_out import HeldOut, Measure
from consumers.trainer.record.metrics import METRICS, HeldOutLine, MetricsFile, StepLine, TrainingLine, step_line
from consumers.trainer.record.tensorboard import FOLDER, TensorBoardWriter
from consumers.trainer.record.trackers import Config, TrackerName, TrackerWriter
from schemas.events import StepLogged


@dataclass(kw_only=True)
class Reporting:
    """Reports one training.

    output      its folder
    clusters    of the run
    training    which it is; files of another training in the folder are replaced
    fresh       whether earlier files are removed
    held_out    rows to evaluate every `eval_every` steps, or None
    measure     the engine's loss of rows without training on them
    on_line     called with each step's line, in the first rank
    track       trackers that get the numbers too, and `config` with them
    """

    output: Path
    clusters: int
    training: TrainingLine
    group: ProcessGroup
    fresh: bool
    tensorboard: bool
    held_out: HeldOut | None
    eval_every: int | None
    measure: Measure
    say: Callable[[str], None]
    on_line: Callable[[StepLine], None] = lambda line: None
    track: tuple[TrackerName, ...] = ()
    config: Config = field(default_factory=dict)

    measured: dict[int, HeldOutLine] = field(default_factory=dict)
    _writers: list[MetricsFile | TensorBoardWriter | TrackerWriter] = field(default_factory=list)

    def begin(self, step: int) -> None:
        """Begin after a step: 0, or that of the checkpoint (all ranks)."""
        earlier: list[HeldOutLine] = []
        if self.group.is_first:
            if self.fresh:
                shutil.rmtree(self.output / FOLDER, ignore_errors=True)
                (self.output / METRICS).unlink(missing_ok=True)
            file = MetricsFile(self.output / METRICS, self.training, step)
            earlier = file.held_out
            self._writers.append(file)
            if self.tensorboard:
                self._writers.append(TensorBoardWriter(self.output / FOLDER, step))
            fresh = self.fresh or step == 0
            self._writers += [
                TrackerWriter(name, self.output, self.training, self.config, fresh=fresh, say=self.say)
                for name in self.track
            ]
        if self.held_out is not None:
            same_rows = {line.step: line for line in earlier if line.sha256 == self.held_out.sha256}
            self.measured = self.group.broadcast(same_rows)
            if step == 0 or self._is_due(step):
                self.evaluate(step)

    def add(self, step: StepLogged, epoch: int) -> None:
        line = step_line(step, epoch, self.clusters)
        for writer in self._writers:
            writer.add(line)
        if self.group.is_first:
            self.on_line(line)

    def evaluate_if_due(self, step: int) -> None:
        """Evaluate the held-out loss after this step, if it is due (all ranks)."""
        if self._is_due(step):
            self.evaluate(step)

    def evaluate(self, step: int) -> None:
        """Evaluate the held-out loss after this step, unless it is known (all ranks)."""
        if self.held_out is None or step in self.measured:
            return
        line = self.held_out.measure(self.measure, step)
        self.measured[step] = line
        for writer in self._writers:
            writer.add(line)
        if self.group.is_first:
            loss = "not finite" if line.loss is None else f"{line.loss:.4f}"
            self.say(f"held-out loss after step {step}: {loss} ({line.rows} rows, {line.seconds:.1f} s)")

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def _is_due(self, step: int) -> bool:
        return self.eval_every is not None and step % self.eval_every == 0
