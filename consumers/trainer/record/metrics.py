"""`metrics.jsonl`: what a training measured, one line a step and one line an evaluation.

The first line names the training. Every line is written before its step's checkpoint, so a resumed training finds the
lines up to its checkpoint. It removes later ones, since their steps are trained again. So each step has one line. A
line that a crash cut short is always after the last checkpoint.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from infra.models.turned_rows import Task
from schemas.errors import TrainerError
from schemas.events import StepLogged

METRICS = "metrics.jsonl"
_GIB = 2**30


class TrainingLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="training"):
    """Names the training that the file belongs to."""

    run: str
    model: str
    task: Task = "follow"


class StepLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """A step's numbers (see StepLogged), with the number of its rows and of those that were borrowed."""

    step: int
    epoch: int
    loss: float | None
    loss_variance: float | None
    grad_norm: float | None
    learning_rate: float
    tokens: int
    all_tokens: int | None
    padding: float | None
    memory_bytes: int | None
    seconds: float
    rows: int
    borrowed: int

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens of the model's input a second; None when they were not counted."""
        return self.all_tokens / self.seconds if self.all_tokens is not None and self.seconds else None


class HeldOutLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="held_out"):
    """The held-out loss after a step, 0 before the first.

    loss     mean over the response tokens of all rows; None when it is not finite
    file     name of the rows' file; `sha256` is of their tokens: the same for the same rows
    """

    step: int
    loss: float | None
    rows: int
    tokens: int
    seconds: float
    file: str
    sha256: str


Line = TrainingLine | StepLine | HeldOutLine
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Metrics:
    """What a metrics file holds; `training` is None when there is no file."""

    training: TrainingLine | None = None
    steps: tuple[StepLine, ...] = ()
    held_out: tuple[HeldOutLine, ...] = ()

    @property
    def held_out_curve(self) -> tuple[HeldOutLine, ...]:
        """The evaluations on the newest held-out rows."""
        return tuple(line for line in self.held_out if line.sha256 == self.held_out[-1].sha256)


def step_line(step: StepLogged, epoch: int, clusters: int) -> StepLine:
    """The line of a step of a run with so many clusters."""
    numbers = {**msgspec.structs.asdict(step), "rows": len(step.rows)}
    return StepLine(**numbers, epoch=epoch, borrowed=sum(row.is_borrowed(clusters) for row in step.rows))


def scalars(line: StepLine | HeldOutLine) -> dict[str, float | None]:
    """A line's numbers by their names in TensorBoard and in trackers; None: not known."""
    if isinstance(line, HeldOutLine):
        return {"held_out/loss": line.loss}
    return {
        "train/loss": line.loss,
        "train/loss_variance": line.loss_variance,
        "train/grad_norm": line.grad_norm,
        "train/learning_rate": line.learning_rate,
        "train/epoch": line.epoch,
        "batch/tokens": line.all_tokens,
        "batch/response_tokens": line.tokens,
        "batch/padding": line.padding,
        "batch/borrowed": line.borrowed,
        "speed/tokens_per_s": line.tokens_per_s,
        "speed/seconds": line.seconds,
        "memory/gib": None if line.memory_bytes is None else line.memory_bytes / _GIB,
    }


def read_metrics(path: Path) -> Metrics:
    """What the file holds up to the first incomplete line. Raises TrainerError when it cannot be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Metrics()
    except OSError as error:
        raise TrainerError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    lines: list[Line] = []
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        for text in raw.split(b"\n")[:-1]:
            lines.append(_decoder.decode(text))  # noqa: PERF401 - those before the first incomplete line count
    return Metrics(
        training=next((line for line in reversed(lines) if isinstance(line, TrainingLine)), None),
        steps=tuple(line for line in lines if isinstance(line, StepLine)),
        held_out=tuple(line for line in lines if isinstance(line, HeldOutLine)),
    )


class MetricsFile:
    """Writes the file of a training at `step`; lines of later steps, or of another training, are removed.

    held_out   the evaluations that stay
    """

    def __init__(self, path: Path, training: TrainingLine, step: int) -> None:
        self._path = path
        before = read_metrics(path)
        if before.training != training:
            before = Metrics()
        self.held_out = [line for line in before.held_out if line.step <= step]
        self._file = self._begin([training, *_up_to(before, step)])

    def add(self, line: StepLine | HeldOutLine) -> None:
        """Append a line. Raises TrainerError when it cannot be written."""
        try:
            self._file.write(_encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        self._file.close()

    def _begin(self, lines: Sequence[Line]) -> IO[bytes]:
        draft = self._path.with_name(f".draft-{self._path.name}")
        try:
            with draft.open("wb") as file:
                file.writelines(_encode(line) + b"\n" for line in lines)
            draft.replace(self._path)
            return self._path.open("ab")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TrainerError:
        return TrainerError(
            f"{self._path} cannot be written: {error.strerror}. Make room or repair the disk, and start again: "
            "training resumes from the last checkpoint."
        )


def _up_to(metrics: Metrics, step: int) -> list[StepLine | HeldOutLine]:
    """The lines up to a step, each evaluation after its step."""
    lines: list[StepLine | HeldOutLine] = [line for line in metrics.steps if line.step <= step]
    lines += [line for line in metrics.held_out if line.step <= step]
    return sorted(lines, key=lambda line: (line.step, isinstance(line, HeldOutLine)))
