"""A training's numbers as TensorBoard's event files.

A resumed training begins a new file that makes TensorBoard drop all steps after the checkpoint, so no step is shown
twice.
"""

from pathlib import Path

from consumers.trainer.record.metrics import HeldOutLine, StepLine, scalars
from schemas.errors import TrainerError

FOLDER = "tensorboard"


class TensorBoardWriter:
    """Writes event files of a training at `step` into `folder`."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)
        except OSError as error:
            raise TrainerError(
                f"TensorBoard's files cannot be written to {folder}: {error.strerror}. Make room, or leave them out "
                "with `--no-tensorboard`."
            ) from error

    def add(self, line: StepLine | HeldOutLine) -> None:
        """Write a line's numbers; unknown ones are left out."""
        for tag, number in scalars(line).items():
            if number is not None:
                self._writer.add_scalar(tag, number, line.step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
