"""What a training tells as it goes, besides the log: `metrics.jsonl`, TensorBoard, and how it does on held-out rows.

The first rank writes; all ranks evaluate, at the same steps: before the first, every `eval_every`, and when the
training has come to its end. A training that was stopped and goes on tells each step and each evaluation once.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.held_out import HeldOut, Measure
from consumers.trainer.record.metrics import METRICS, HeldOutLine, MetricsFile, StepLine, TrainingLine, step_line
from consumers.trainer.record.tensorboard import FOLDER, TensorBoardWriter
from schemas.events import StepLogged


@dataclass(kw_only=True)
class Reporting:
    """The account of one training.

    output      its folder
    clusters    of the run
    training    which it is: what an earlier account in the folder must be of, to be gone on with
    fresh       whether an earlier account is forgotten
    held_out    rows to evaluate on every `eval_every` steps, or None
    measure     the engine's way to measure rows without training on them
    on_line     called with each step's line, in the first rank
    """

    output: Path
    clusters: int
    training: TrainingLine
    world: ProcessGroup
    fresh: bool
    tensorboard: bool
    held_out: HeldOut | None
    eval_every: int | None
    measure: Measure
    say: Callable[[str], None]
    on_line: Callable[[StepLine], None] = lambda line: None

    measured: dict[int, HeldOutLine] = field(default_factory=dict)
    _file: MetricsFile | None = None
    _board: TensorBoardWriter | None = None

    def begin(self, step: int) -> None:
        """Begin or go on after step `step`."""
        if self.world.is_first:
            if self.fresh:
                shutil.rmtree(self.output / FOLDER, ignore_errors=True)
                (self.output / METRICS).unlink(missing_ok=True)
            self._file = MetricsFile(self.output / METRICS, self.training, step)
            if self.tensorboard:
                self._board = TensorBoardWriter(self.output / FOLDER, step)
        if self.held_out is not None:
            before = [] if self._file is None else self._file.held_out
            known = {line.step: line for line in before if line.sha256 == self.held_out.sha256}
            self.measured = self.world.broadcast(known)
            if step == 0 or self._is_due(step):
                self._evaluate(step)

    def add(self, step: StepLogged, epoch: int) -> None:
        """Write of a step that was made."""
        line = step_line(step, epoch, self.clusters)
        if self._file is not None:
            self._file.add(line)
        if self._board is not None:
            self._board.add_step(line)
        if self.world.is_first:
            self.on_line(line)

    def evaluate_if_due(self, step: int) -> None:
        """Evaluate after this step, if it is one to evaluate after."""
        if self._is_due(step):
            self._evaluate(step)

    def end(self, step: int) -> None:
        """The training has come to its end with this step."""
        self._evaluate(step)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def _is_due(self, step: int) -> bool:
        return self.eval_every is not None and step % self.eval_every == 0

    def _evaluate(self, step: int) -> None:
        if self.held_out is None or step in self.measured:
            return
        line = self.held_out.measure(self.measure, step)
        self.measured[step] = line
        if self._file is not None:
            self._file.add(line)
        if self._board is not None:
            self._board.add_held_out(line)
        if self.world.is_first:
            loss = "not finite" if line.loss is None else f"{line.loss:.4f}"
            self.say(f"held-out loss after step {step}: {loss} ({line.rows} rows, {line.seconds:.1f} s)")
