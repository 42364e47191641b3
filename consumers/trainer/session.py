"""The loop of a training, between its beginning (a checkpoint or the first row) and what it leaves behind.

    take a batch -> a step -> into its window (written when complete) -> a checkpoint when one is due -> again

How it stays exact. A checkpoint holds everything up to one step; rows are taken from the log by position, so the step
after it gets the same batch. Steps that are on the training log already (a crash came between a window and its
checkpoint) are trained again from the batches that the log names, and not written again. On the CPU in fp32 the losses
of a resumed training are those of an undisturbed one.

Every rank has a session of its own and all of them go the same way: what they decide they decide from what all have
told (`plan`), or from what is the same for all. Only the first one writes: windows, the model, lines for people.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from consumers.trainer.data.batches import RankBatch, RowStream
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.learning_rate import learning_rate, warmup_steps
from consumers.trainer.engine.nonfinite_guard import NonfiniteGuard
from consumers.trainer.engine.step import Engine
from consumers.trainer.options import Reason, Template, TrainOptions, TrainSummary
from consumers.trainer.record.reporting import Reporting
from consumers.trainer.record.session_counts import SessionCounts
from consumers.trainer.record.window_log import LoggedTraining, WindowLog
from consumers.trainer.result import checkpoint
from consumers.trainer.result.checkpoint import TrainerState
from consumers.trainer.result.model_card import TrainedModel
from consumers.trainer.result.model_export import write_model
from consumers.trainer.result.seal import Seal
from infra.log.writer import LogWriter
from schemas.errors import TrainerError
from schemas.events import StepLogged
from schemas.policy import Policy
from streams.core.batches import PartitionPosition

_PLANNED_STEPS = 1000


@dataclass(kw_only=True)
class Session:
    """One training at work: where it is, and what it works with."""

    options: TrainOptions
    run: str
    policy: Policy
    world: ProcessGroup
    output: Path
    seal: Seal
    name: str
    template: Template
    tokenizer: Any
    engine: Engine
    stream: RowStream
    writer: LogWriter | None
    logged: LoggedTraining
    counts: SessionCounts
    account: Reporting
    stop: Callable[[], bool]
    say: Callable[[str], None]
    expected_steps: int | None

    step: int = 0
    epoch: int = 1
    epoch_ends: dict[int, PartitionPosition] | None = None
    resumed_from: int | None = None
    saved: TrainerState | None = None
    streak: NonfiniteGuard = field(init=False)
    planned: int = field(init=False)
    windows: WindowLog = field(init=False)

    # -- beginning ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Load the last checkpoint, or start at the first row."""
        positions: dict[int, PartitionPosition] = {}
        if self.options.fresh:
            checkpoint.forget(self._checkpoints, self.world)
        self.planned = self.options.planned or self.expected_steps or _PLANNED_STEPS
        self.streak = NonfiniteGuard(self.options.max_skipped)
        state = checkpoint.restore(self._checkpoints, self.engine, self._check, self.say, self.world, self.seal)
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
            self.writer,
            self.name,
            self.policy.window_steps,
            logged=self.logged,
            last=None if state is None else state.last_window,
            pending=() if state is None else state.pending,
        )
        self.stream.open(positions, self.epoch_ends if self.epoch > 1 else None)
        self.account.begin(self.step)

    def _check(self, state: TrainerState) -> None:
        if self.options.planned_steps is None:
            self.planned = int(state.settings.get("planned_steps") or self.planned)
        now, then = self._settings, {"processes": 1, **state.settings}
        if state.run != self.run:
            raise TrainerError(
                f"{self.output} holds a training of run {state.run!r}, not {self.run!r}. Give another output folder."
            )
        for key in ("model", "precision", "zero_stage", "batch_size", "lora", "processes", "min_score", "judge"):
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
            begun = time.perf_counter()
            share = self._next_batch()
            if share == "stop":
                self.say(f"Stopping after step {self.step}: saving a checkpoint.")
                reason = "stopped"
                break
            if share == "end":
                if self._next_epoch():
                    continue
                reason = "end_of_stream"
                break
            taken = time.perf_counter()
            logged = self._train(share)
            trained = time.perf_counter()
            self.windows.add(logged, self.epoch)
            self.account.add(logged, self.epoch)
            on_step(logged)
            self.counts.waiting_s += taken - begun if share.waited else 0.0
            self.counts.around_s += time.perf_counter() - trained + (0.0 if share.waited else taken - begun)
            self.account.evaluate_if_due(self.step)
            if self.step % every == 0:
                self._save()
        self._save()
        if reason != "stopped":
            self.account.end(self.step)
        return self._summary(reason)

    def _limit(self) -> Reason | None:
        if self.options.max_steps is not None and self.step >= self.options.max_steps:
            return "max_steps"
        windows = self.options.max_windows
        if windows is not None and self.step >= windows * self.policy.window_steps:
            return "max_windows"
        return None

    def _next_batch(self) -> RankBatch | Literal["end", "stop"]:
        """The batch of the next step, as the log has it if it has it; `end` is that of the epoch."""
        known = self.logged.steps.get(self.step + 1)
        if known is None:
            return self.stream.next_batch(self.stop)
        return self.stream.logged_batch(known.step, self.stop) if known.epoch == self.epoch else "end"

    def _next_epoch(self) -> bool:
        """Close the epoch, and start the next one if there is to be one."""
        self.windows.close(self.epoch)
        if self.epoch >= self.options.epochs or self.step == 0:
            return False
        if self.epoch == 1:
            self.epoch_ends = self.stream.positions()
        self.epoch += 1
        self.say(f"Epoch {self.epoch} begins after step {self.step}.")
        self.stream.open({}, self.epoch_ends)
        return True

    def _train(self, share: RankBatch) -> StepLogged:
        options = self.options
        rate = learning_rate(
            self.step + 1,
            peak=options.learning_rate,
            schedule=options.schedule,
            warmup=warmup_steps(options.warmup_ratio, self.planned),
            planned_steps=self.planned,
        )
        with self.world.lost_is_told():
            numbers = self.engine.step(share.mine, rate)
        self.step += 1
        self.counts.add(share.batch, numbers, self.policy.clusters)
        ids = [each.row.id for each in share.batch]
        if not numbers.updated:
            why = "its loss or gradient is not finite" if numbers.tokens else "no row has a response token"
            self.say(f"Step {self.step} changed nothing: {why}. Rows: {ids}.")
        self.streak.add(self.step, updated=numbers.updated, tokens=numbers.tokens, rows=ids)
        return StepLogged(
            step=self.step,
            loss=numbers.loss,
            loss_variance=numbers.loss_variance,
            grad_norm=numbers.grad_norm,
            learning_rate=rate,
            tokens=numbers.tokens,
            seconds=numbers.seconds,
            rows=tuple(each.row for each in share.batch),
            all_tokens=numbers.all_tokens,
            padding=numbers.padding,
            memory_bytes=numbers.memory_bytes,
        )

    # -- saving ------------------------------------------------------------------------------------------------------

    @property
    def _checkpoints(self) -> Path:
        return self.output / checkpoint.FOLDER

    @property
    def _settings(self) -> dict[str, str | int | float | bool | None]:
        options = self.options
        return {
            "model": self.name,
            "precision": options.precision,
            "zero_stage": options.zero_stage,
            "processes": self.world.size,
            "lora": None if options.lora is None else str(options.lora),
            "batch_size": self.policy.batch_size,
            "min_score": options.min_score,
            "judge": options.judge,
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
            run=self.run,
            model=self.name,
            step=self.step,
            epoch=self.epoch,
            positions=checkpoint.pack(self.stream.positions()),
            epoch_ends=None if self.epoch_ends is None else checkpoint.pack(self.epoch_ends),
            pending=tuple(self.windows.pending),
            last_window=self.windows.last,
            settings=self._settings,
        )
        state = self.world.broadcast(state)  # seconds differ from rank to rank; the state is one
        if not self.step or state == self.saved:
            return
        with self.world.lost_is_told():
            checkpoint.save(self._checkpoints, self.engine, state, self.options.keep_checkpoints, self.world, self.seal)
        self.saved = state

    def _save_model(self) -> Path:
        options, is_folder = self.options, Path(self.options.model).expanduser().is_dir()
        trained = TrainedModel(
            run=self.run,
            source=_source(options),
            base=self.name if is_folder else options.model,
            base_is_hub_name=not is_folder,
            policy=self.policy,
            settings=self._settings,
            epochs=self.epoch,
            steps=self.step,
            covered=self.epoch_ends or self.stream.positions(),
        )
        return write_model(self.output, self.engine, self.tokenizer, self.template, trained, self.world)

    def _summary(self, reason: Reason) -> TrainSummary:
        counts = self.counts
        return TrainSummary(
            run=self.run,
            reason=reason,
            epoch=self.epoch,
            steps=self.step,
            steps_now=counts.steps,
            rows=counts.rows,
            borrowed=counts.borrowed,
            tokens=counts.tokens,
            seconds=counts.seconds,
            around_s=counts.around_s,
            waiting_s=counts.waiting_s,
            windows_written=self.windows.written,
            skipped_steps=counts.skipped,
            rows_without_response=counts.without_response,
            rows_truncated=counts.truncated,
            rows_unreadable=self.stream.unreadable,
            first_loss=counts.first_loss,
            last_loss=counts.last_loss,
            held_out=tuple(self.account.measured[step] for step in sorted(self.account.measured)),
            resumed_from=self.resumed_from,
            checkpoint=self._checkpoints / f"step-{self.step:08d}" if self.saved is not None else None,
            model_folder=self._save_model() if reason != "stopped" and self.step else None,
        )


def _source(options: TrainOptions) -> str:
    """Where the rows were read from, in words."""
    if options.data is not None:
        return f"the file {options.data.name}"
    return "the run's log" if options.from_files is None else "an archive of the run"
