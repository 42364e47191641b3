"""The loop of a training, between its beginning (a checkpoint or the first row) and what it leaves behind.

    take a batch -> a step -> into its window (written when complete) -> a checkpoint when one is due -> again

How it stays exact. A checkpoint holds everything up to one step; rows are taken from the log by position, so the step
after it gets the same batch. Steps that are on the training log already (a crash came between a window and its
checkpoint) are trained again from the batches that the log names, and not written again. On the CPU in fp32 the losses
of a resumed training are those of an undisturbed one.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.trainer import checkpoint
from consumers.trainer.checkpoint import TrainerState
from consumers.trainer.counts import Counts
from consumers.trainer.engine import Engine
from consumers.trainer.options import Reason, Template, TrainOptions, TrainSummary
from consumers.trainer.rows import RowStream
from consumers.trainer.schedule import learning_rate, warmup_steps
from consumers.trainer.templates import encode
from consumers.trainer.windows import Logged, WindowLog
from infra.log import LogWriter
from schemas.errors import TrainerError
from schemas.events import BatchRow, StepLogged
from schemas.policy import Policy
from streams.core.batches import Batch, Position


@dataclass(kw_only=True)
class Session:
    """One training at work: where it is, and what it works with."""

    options: TrainOptions
    policy: Policy
    output: Path
    name: str
    template: Template
    tokenizer: Any
    engine: Engine
    stream: RowStream
    writer: LogWriter | None
    logged: Logged
    counts: Counts
    stop: Callable[[], bool]
    say: Callable[[str], None]

    step: int = 0
    epoch: int = 1
    epoch_ends: dict[int, Position] | None = None
    resumed_from: int | None = None
    saved: TrainerState | None = None
    planned: int = field(init=False)
    windows: WindowLog = field(init=False)

    # -- beginning ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Load the last checkpoint, or start at the first row."""
        positions: dict[int, Position] = {}
        if self.options.fresh:
            checkpoint.forget(self._checkpoints)
        self.planned = self.options.planned
        state = checkpoint.restore(self._checkpoints, self.engine, self._check, self.say)
        if state is not None:
            self.step, self.epoch, self.resumed_from, self.saved = state.step, state.epoch, state.step, state
            positions = checkpoint.unpack(state.positions)
            self.epoch_ends = None if state.epoch_ends is None else checkpoint.unpack(state.epoch_ends)
            self.say(f"Going on from the checkpoint of step {self.step}.")
        if self.logged.through > self.step:
            self.say(
                f"Steps {self.step + 1} to {self.logged.through} are on the training log already: training them again "
                "from the same batches, without writing them again."
            )
        self.windows = WindowLog(
            self.writer, self.name, self.policy.window_steps,
            logged=self.logged,
            last=None if state is None else state.last_window,
            pending=() if state is None else state.pending,
        )  # fmt: skip
        self.stream.open(positions, self.epoch_ends if self.epoch > 1 else None)

    def _check(self, state: TrainerState) -> None:
        if self.options.planned_steps is None:
            self.planned = int(state.settings.get("planned_steps") or self.planned)
        now, then = self._settings, state.settings
        if state.run != self.options.run:
            raise TrainerError(
                f"{self.output} holds a training of run {state.run!r}, not {self.options.run!r}. Give another output "
                "folder."
            )
        for key in ("model", "precision", "zero_stage", "batch_size"):
            if now[key] != then.get(key):
                raise TrainerError(
                    f"The checkpoint was made with {key} {then.get(key)!r}, this training is told {now[key]!r}. Use "
                    "the same, another output folder, or start afresh."
                )
        changed = [f"{key} {then.get(key)} -> {value}" for key, value in now.items() if then.get(key) != value]
        if changed:
            self.say(f"Settings that changed since the checkpoint: {', '.join(changed)}.")

    # -- the loop ----------------------------------------------------------------------------------------------------

    def loop(self, on_step: Callable[[StepLogged], None]) -> TrainSummary:
        """Train until something ends it."""
        every = self.options.checkpoint_every or self.policy.window_steps
        while (reason := self._limit()) is None:
            batch = self._next_batch()
            if batch is None:
                if self.stop():
                    reason = "stopped"
                elif self._next_epoch():
                    continue
                else:
                    reason = "end_of_stream"
                break
            logged = self._train(batch)
            self.windows.add(logged, self.epoch)
            on_step(logged)
            if self.step % every == 0:
                self._save()
        self._save()
        return self._summary(reason)

    def _limit(self) -> Reason | None:
        if self.stop():
            return "stopped"
        if self.options.max_steps is not None and self.step >= self.options.max_steps:
            return "max_steps"
        windows = self.options.max_windows
        if windows is not None and self.step >= windows * self.policy.window_steps:
            return "max_windows"
        return None

    def _next_batch(self) -> Batch | None:
        """The batch of the next step, as the log has it if it has it; None at a stop and at the end of the epoch."""
        known = self.logged.steps.get(self.step + 1)
        if known is None:
            return self.stream.next_batch(self.stop)
        return self.stream.logged_batch(known.step, self.stop) if known.epoch == self.epoch else None

    def _next_epoch(self) -> bool:
        """Close the epoch, and start the next one if there is to be one."""
        self.windows.close(self.epoch)
        if self.epoch >= self.options.epochs or self.step == 0:
            return False
        if self.epoch == 1:
            self.epoch_ends = self.stream.positions
        self.epoch += 1
        self.say(f"Epoch {self.epoch} begins after step {self.step}.")
        self.stream.open({}, self.epoch_ends)
        return True

    def _train(self, batch: Batch) -> StepLogged:
        options = self.options
        rows = [encode(placed.row.kept, self.tokenizer, self.template, options.max_length) for placed in batch]
        rate = learning_rate(
            self.step + 1, peak=options.learning_rate, schedule=options.schedule,
            warmup=warmup_steps(options.warmup_ratio, self.planned), planned_steps=self.planned,
        )  # fmt: skip
        numbers = self.engine.step(rows, rate)
        self.step += 1
        self.counts.add(batch, rows, numbers)
        if not numbers.updated:
            why = "its loss or gradient is not finite" if numbers.tokens else "no row has a response token"
            self.say(f"Step {self.step} changed nothing: {why}. Rows: {[placed.row.kept.id for placed in batch]}.")
        return StepLogged(
            step=self.step,
            loss=numbers.loss,
            loss_variance=numbers.loss_variance,
            grad_norm=numbers.grad_norm,
            learning_rate=rate,
            tokens=numbers.tokens,
            seconds=numbers.seconds,
            rows=tuple(
                BatchRow(
                    id=placed.row.kept.id,
                    slot=placed.slot,
                    cluster=placed.cluster,
                    generated_offset=placed.row.kept.generated_offset,
                )
                for placed in batch
            ),
        )

    # -- saving ------------------------------------------------------------------------------------------------------

    @property
    def _checkpoints(self) -> Path:
        return self.output / "checkpoints"

    @property
    def _settings(self) -> dict[str, str | int | float | bool | None]:
        options = self.options
        return {
            "model": self.name,
            "precision": options.precision,
            "zero_stage": options.zero_stage,
            "batch_size": self.policy.batch_size,
            "template": self.template,
            "max_length": options.max_length,
            "learning_rate": options.learning_rate,
            "weight_decay": options.weight_decay,
            "warmup_ratio": options.warmup_ratio,
            "schedule": options.schedule,
            "planned_steps": self.planned,
            "clip": options.clip,
            "micro_batch": options.micro_batch,
        }

    def _save(self) -> None:
        state = TrainerState(
            run=self.options.run,
            model=self.name,
            step=self.step,
            epoch=self.epoch,
            positions=checkpoint.pack(self.stream.positions),
            epoch_ends=None if self.epoch_ends is None else checkpoint.pack(self.epoch_ends),
            pending=tuple(self.windows.pending),
            last_window=self.windows.last,
            settings=self._settings,
        )
        if not self.step or state == self.saved:
            return
        checkpoint.save(self._checkpoints, self.engine, state, self.options.keep_checkpoints)
        self.saved = state

    def _save_model(self) -> Path:
        target, draft = self.output / "model", self.output / ".draft-model"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            self.engine.save_model(draft)
            self.tokenizer.save_pretrained(draft)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        except OSError as error:
            raise TrainerError(
                f"The model could not be written to {target}: {error}. The checkpoint is whole: make room and start "
                "again, and it is written."
            ) from error
        return target

    def _summary(self, reason: Reason) -> TrainSummary:
        counts = self.counts
        return TrainSummary(
            run=self.options.run,
            reason=reason,
            epoch=self.epoch,
            steps=self.step,
            steps_now=counts.steps,
            rows=counts.rows,
            borrowed=counts.borrowed,
            tokens=counts.tokens,
            seconds=counts.seconds,
            windows_written=self.windows.written,
            skipped_steps=counts.skipped,
            rows_without_response=counts.without_response,
            rows_truncated=counts.truncated,
            rows_unreadable=counts.unreadable,
            first_loss=counts.first_loss,
            last_loss=counts.last_loss,
            resumed_from=self.resumed_from,
            checkpoint=self._checkpoints / f"step-{self.step:08d}" if self.saved is not None else None,
            model_folder=self._save_model() if reason != "stopped" and self.step else None,
        )
