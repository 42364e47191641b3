"""Writes steps in windows to the training log.

With window_steps 10, window w holds the steps 10 w + 1 to 10 w + 10 of one epoch. It is written when its last step is
done; when an epoch ends, a shorter one. Window numbers rise within an epoch: when a training that had ended resumes
with new rows, the window after a short one takes the next number.

Guarantee: for a reader that deduplicates windows each step is on the log once. A training that resumes before the last
window on the log trains those steps again, from the batches that the log names, and does not write them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.trainer.record.window_spans import WindowSpans
from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.metrics import declared
from infra.metrics.meters import meters
from infra.settings import Settings
from infra.tracing.context import written_in
from infra.tracing.spans import is_exporting
from schemas import ids
from schemas.errors import TrainerError
from schemas.events import StepLogged, TrainingLogged
from schemas.trace_context import SpanPlace


@dataclass(frozen=True)
class LoggedStep:
    """A step on the training log, its epoch, and the withdrawals that its window reflects."""

    epoch: int
    step: StepLogged
    documents_offset: int = -1


@dataclass(frozen=True)
class LoggedTraining:
    """The training log: its steps by number, and the last (epoch, window)."""

    steps: dict[int, LoggedStep]
    last: tuple[int, int] | None

    @property
    def through(self) -> int:
        """The last step on the log, 0 for none."""
        return max(self.steps, default=0)


def read_logged(settings: Settings, run: str, model: str) -> LoggedTraining:
    """Read the run's training log. Raises TrainerError when its windows are of another model."""
    steps: dict[int, LoggedStep] = {}
    seen: set[tuple[int, int]] = set()
    with LogReader(settings, run, ["training-log"], "trainer") as reader:
        for record in reader.read_to_end():
            event = record.event
            if not isinstance(event, TrainingLogged) or (event.epoch, event.window) in seen:
                continue
            if event.model != model:
                raise TrainerError(
                    f"The training log of run {run!r} is of the model {event.model!r}, this training is of {model!r}. "
                    "A run's log holds one training: use that model, or another run."
                )
            seen.add((event.epoch, event.window))
            logged = (LoggedStep(event.epoch, step, event.documents_offset) for step in event.steps)
            steps.update((each.step.step, each) for each in logged)
    return LoggedTraining(steps, max(seen, default=None))


class WindowLog:
    """Collects steps and writes each window when it is complete. Without a writer it counts but writes nothing.

    documents_offset   the last record of `documents` read before the window's first step; the caller sets it then
    """

    def __init__(
        self,
        writer: LogWriter | None,
        model: str,
        window_steps: int,
        *,
        logged: LoggedTraining,
        last: tuple[int, int] | None,
        pending: tuple[StepLogged, ...],
        documents_offset: int = -1,
    ) -> None:
        self._writer = writer
        self._model = model
        self._window_steps = window_steps
        self._through = logged.through
        self.last = max(filter(None, (last, logged.last)), default=None)
        self.pending = list(pending)
        self.documents_offset = documents_offset
        self.written = 0
        self._spans = WindowSpans()

    @property
    def begins(self) -> bool:
        """Whether the next step is the first of a window that is not on the log."""
        return not any(step.step > self._through for step in self.pending)

    def add(self, step: StepLogged, epoch: int, rows: Sequence[SpanPlace] = ()) -> None:
        """Add a step, which has ended now; writes the window that it completes. `rows`: the verdicts on its rows."""
        self.pending.append(step)
        self._spans.add(step, rows)
        if step.step % self._window_steps == 0:
            self.close(epoch)

    def close(self, epoch: int) -> None:
        """Write the pending steps as a window, complete or not; those on the log already are left out."""
        steps = tuple(step for step in self.pending if step.step > self._through)
        self.pending = []
        if not steps:
            return
        number = (steps[0].step - 1) // self._window_steps
        if self.last is not None and self.last[0] == epoch:
            number = max(number, self.last[1] + 1)
        self.last = epoch, number
        if self._writer is not None:
            window = TrainingLogged(
                window=number, epoch=epoch, model=self._model, steps=steps, documents_offset=self.documents_offset
            )
            key = ids.window_id(epoch, number)
            with written_in(self._spans.place(key)):
                self._writer.write(window, key=key, id=key, causation_id=steps[-1].rows[-1].id)
            if is_exporting():
                self._spans.export(self._writer.run, window, key)
        self._spans = WindowSpans()
        self.written += 1
        meters().add(declared.WINDOWS)
