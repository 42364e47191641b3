"""`metrics.jsonl`: what a training measured, a line a step and a line an evaluation, whatever else is told of it.

The first line says which training it is. Every line is handed to the system before the step's checkpoint is made, so a
training that goes on from a checkpoint finds the lines up to it; those after it are taken out, because their steps are
made again. So a step stands once. A line that a crash cut in two is one of those after the last checkpoint.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from schemas.errors import TrainerError
from schemas.events import StepLogged

METRICS = "metrics.jsonl"


class TrainingLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="training"):
    """Which training the file is of."""

    run: str
    model: str


class StepLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """A step, as StepLogged has it; of its rows only how many they were, and how many were borrowed."""

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
        """Tokens that the model was shown, a second of the step; None when they were not counted."""
        return self.all_tokens / self.seconds if self.all_tokens is not None and self.seconds else None


class HeldOutLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="held_out"):
    """The held-out rows after step `step`, which is 0 before the first.

    loss     mean over the response tokens of all rows; None when it is not a finite number
    file     name of the file they are from; `sha256` is of their tokens, so that equal rows are known as equal
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
    """What a file holds; `training` is None when there is no file."""

    training: TrainingLine | None = None
    steps: tuple[StepLine, ...] = ()
    held_out: tuple[HeldOutLine, ...] = ()

    @property
    def held_out_curve(self) -> tuple[HeldOutLine, ...]:
        """The evaluations on the rows that were held out last."""
        return tuple(line for line in self.held_out if line.sha256 == self.held_out[-1].sha256)


def step_line(step: StepLogged, epoch: int, clusters: int) -> StepLine:
    """The line of a step of a run with so many clusters."""
    return StepLine(
        step=step.step,
        epoch=epoch,
        loss=step.loss,
        loss_variance=step.loss_variance,
        grad_norm=step.grad_norm,
        learning_rate=step.learning_rate,
        tokens=step.tokens,
        all_tokens=step.all_tokens,
        padding=step.padding,
        memory_bytes=step.memory_bytes,
        seconds=step.seconds,
        rows=len(step.rows),
        borrowed=sum(row.is_borrowed(clusters) for row in step.rows),
    )


def read_metrics(path: Path) -> Metrics:
    """What the file holds up to the first line that is not whole. Raises TrainerError when it cannot be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Metrics()
    except OSError as error:
        raise TrainerError(f"{path} cannot be read: {error.strerror}. See who may read it.") from error
    training: TrainingLine | None = None
    steps: list[StepLine] = []
    held_out: list[HeldOutLine] = []
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        for text in raw.split(b"\n")[:-1]:
            match _decoder.decode(text):
                case TrainingLine() as line:
                    training = line
                case StepLine() as line:
                    steps.append(line)
                case HeldOutLine() as line:
                    held_out.append(line)
    return Metrics(training, tuple(steps), tuple(held_out))


class MetricsFile:
    """Writes the file of a training that stands at `step`: what is after it, or of another training, is taken out."""

    def __init__(self, path: Path, training: TrainingLine, step: int) -> None:
        self._path = path
        before = read_metrics(path)
        if before.training != training:
            before = Metrics()
        self.held_out = [line for line in before.held_out if line.step <= step]
        self._file = self._begin([training, *_up_to(before, step)])

    def add(self, line: StepLine | HeldOutLine) -> None:
        """Append a line. Raises TrainerError when it cannot be written."""
        if isinstance(line, HeldOutLine):
            self.held_out.append(line)
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
            f"{self._path} cannot be written: {error.strerror}. Make room or mend the disk, and start again: training "
            "goes on from the last checkpoint."
        )


def _up_to(metrics: Metrics, step: int) -> list[StepLine | HeldOutLine]:
    """The lines up to a step, an evaluation after the step that it follows."""
    lines: list[StepLine | HeldOutLine] = [line for line in metrics.steps if line.step <= step]
    lines += [line for line in metrics.held_out if line.step <= step]
    return sorted(lines, key=lambda line: (line.step, isinstance(line, HeldOutLine)))
