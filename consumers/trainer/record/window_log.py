"""Steps into windows on the training log.

A window holds the steps 10 w + 1 ... 10 w + 10 of the run's count (for window_steps 10) that belong to one epoch; it is
written when its last step is done, and a shorter one when its epoch ends. Window numbers of an epoch always rise: when
a training that had ended goes on with new rows, the window after a short one takes the next number.

Guarantees: a step is on the log once for every reader that drops windows it has seen. A training that is resumed before
the last window on the log trains those steps again, from the batches that the log names, and does not write them again.
"""

from dataclasses import dataclass

from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from schemas.errors import TrainerError
from schemas.events import StepLogged, TrainingLogged


@dataclass(frozen=True)
class LoggedStep:
    """A step that the training log holds, and its epoch."""

    epoch: int
    step: StepLogged


@dataclass(frozen=True)
class LoggedTraining:
    """What the training log holds: its steps by number, and the last (epoch, window)."""

    steps: dict[int, LoggedStep]
    last: tuple[int, int] | None

    @property
    def through(self) -> int:
        """The last step on the log, 0 for none."""
        return max(self.steps, default=0)


def read_logged(settings: Settings, run: str, model: str) -> LoggedTraining:
    """The run's training log. Raises TrainerError when its windows are of another model."""
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
                    "A run's log holds one training: take that model, another run, or do not write to the log."
                )
            seen.add((event.epoch, event.window))
            steps.update((step.step, LoggedStep(event.epoch, step)) for step in event.steps)
    return LoggedTraining(steps, max(seen, default=None))


class WindowLog:
    """Collects steps and writes each window when it is complete; `writer` None: writes nothing, counts the same."""

    def __init__(
        self,
        writer: LogWriter | None,
        model: str,
        window_steps: int,
        *,
        logged: LoggedTraining,
        last: tuple[int, int] | None,
        pending: tuple[StepLogged, ...],
    ) -> None:
        self._writer = writer
        self._model = model
        self._window_steps = window_steps
        self._through = logged.through
        self.last = max(filter(None, (last, logged.last)), default=None)
        self.pending = list(pending)
        self.written = 0

    def add(self, step: StepLogged, epoch: int) -> None:
        """Take a step; writes the window that it completes."""
        self.pending.append(step)
        if step.step % self._window_steps == 0:
            self.close(epoch)

    def close(self, epoch: int) -> None:
        """Write the steps at hand as a window, whole or not; those on the log already are left out."""
        steps = tuple(step for step in self.pending if step.step > self._through)
        self.pending = []
        if not steps:
            return
        number = (steps[0].step - 1) // self._window_steps
        if self.last is not None and self.last[0] == epoch:
            number = max(number, self.last[1] + 1)
        self.last = epoch, number
        if self._writer is not None:
            window = TrainingLogged(window=number, epoch=epoch, model=self._model, steps=steps)
            key = ids.window_id(epoch, number)
            self._writer.write(window, key=key, id=key, causation_id=steps[-1].rows[-1].id)
        self.written += 1
