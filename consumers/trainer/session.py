"""The training loop, from a checkpoint or the first row until the training ends or is stopped.

    take a batch -> train a step -> add it to its window (written when complete) -> save a checkpoint if due -> repeat

A checkpoint holds everything up to one step, and rows are read from the log by position, so the next step gets the same
batch. Steps that are on the training log already (a crash came between a window and its checkpoint) are trained again
from the batches that the log names, and not written again. On the CPU in fp32 a resumed training has the losses of an
uninterrupted one. A training without a checkpoint trains none of these steps again if one has a row of a document that
is withdrawn by now: it ends with an error.

Every rank runs the same loop: decisions are made from values that all ranks have gathered (`plan`), or that are equal
on all. Only the first rank writes windows and the model, and prints.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from consumers.trainer.data.batches import RankBatch, RowStream
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.learning_rate import learning_rate, warmup_steps
from consumers.trainer.engine.nonfinite_guard import NonfiniteGuard
from consumers.trainer.engine.step import Engine
from consumers.trainer.options import Reason, TrainSummary
from consumers.trainer.record.reporting import Reporting
from consumers.trainer.record.session_counts import SessionCounts
from consumers.trainer.record.step_metrics import count_step
from consumers.trainer.record.window_log import LoggedTraining, WindowLog
from consumers.trainer.result.checkpoint import Checkpoints, TrainerState, offsets_of, pack, unpack
from consumers.trainer.result.model_card import TrainedModel
from consumers.trainer.result.model_export import write_model
from consumers.trainer.session_state import SessionConfig, SessionState, check_resumable
from infra.log.writer import LogWriter
from infra.observed import observation
from infra.tracing.context import verdict_place
from schemas.errors import TrainerError
from schemas.events import StepLogged


@dataclass(frozen=True, kw_only=True)
class SessionParts:
    """What a session works with. `run` makes and closes it all.

    writer   of the training log, on the first rank; None: windows are not written
    logged   what the training log held before the session
    stop     whether the training is to stop after the step it is at
    say      prints a line
    """

    group: ProcessGroup
    engine: Engine
    tokenizer: Any
    stream: RowStream
    checkpoints: Checkpoints
    reporting: Reporting
    writer: LogWriter | None
    logged: LoggedTraining
    stop: Callable[[], bool]
    say: Callable[[str], None]


class Session:
    """One training from its start or last checkpoint. Making one restores the checkpoint (all ranks).

    Raises TrainerError when a training from its start would repeat steps with rows of withdrawn documents.
    """

    def __init__(self, config: SessionConfig, parts: SessionParts) -> None:
        self._config = config
        self._parts = parts
        self._counts = SessionCounts()
        self._guard = NonfiniteGuard(config.options.max_skipped)
        fresh = config.options.fresh
        saved = None if fresh else parts.checkpoints.restore(lambda state: check_resumable(config, state, parts.say))
        if saved is None:
            self._refuse_withdrawn()
        if fresh:
            parts.checkpoints.remove()
        self.state = SessionState.begin(config, saved)
        step = self.state.step
        if saved is not None:
            parts.say(f"Resuming from the checkpoint of step {step}.")
        if parts.logged.through > step:
            parts.say(
                f"Steps {step + 1} to {parts.logged.through} are on the training log already: training them again "
                "from the same batches, without writing them again."
            )
        self._windows = WindowLog(
            parts.writer,
            config.model,
            config.policy.window_steps,
            logged=parts.logged,
            last=None if saved is None else saved.last_window,
            pending=() if saved is None else saved.pending,
            documents_offset=-1 if saved is None else saved.documents_offset,
        )
        positions = {} if saved is None else unpack(saved.positions)
        parts.stream.open(positions, self.state.epoch_ends if self.state.epoch > 1 else None)
        parts.stream.read_withdrawals(self._windows.documents_offset)
        parts.reporting.begin(step)

    def _refuse_withdrawn(self) -> None:
        """Raise TrainerError when a step on the training log has a row of a document that is withdrawn by now."""
        stream, logged = self._parts.stream, self._parts.logged
        if not logged.steps:
            return
        stream.read_withdrawals()
        steps = [n for n, each in sorted(logged.steps.items()) if any(map(stream.is_withdrawn, each.step.rows))]
        if steps:
            run = self._config.run
            raise TrainerError(
                f"{len(steps)} steps on the training log of run {run!r}, the first of them {steps[0]}, have rows of "
                "documents that were withdrawn since. A training without a checkpoint would train these rows again, so "
                "none is begun. Go on from a checkpoint of this training if there is one. Else train without these "
                f"rows and without writing to the log: `sedi archive FOLDER --run {run}`, then `sedi train --offline "
                "--from-files FOLDER --output ANOTHER`."
            )

    # -- the loop ----------------------------------------------------------------------------------------------------

    def train(self, on_step: Callable[[StepLogged], None]) -> Reason:
        """Train until the end of the rows, a limit or a stop, and save a checkpoint there; returns which it was."""
        state, parts, counts = self.state, self._parts, self._counts
        checkpoint_every = self._config.options.checkpoint_every or self._config.policy.window_steps
        observation().ready("it trains")
        while (reason := self._limit_reached()) is None:
            begun = time.perf_counter()
            batch = self._next_batch()
            if batch == "stop":
                parts.say(f"Stopping after step {state.step}: saving a checkpoint.")
                reason = "stopped"
                break
            if batch == "end":
                if self._next_epoch():
                    continue
                reason = "end_of_stream"
                break
            taken = time.perf_counter()
            logged = self._step(batch)
            trained = time.perf_counter()
            rows = [verdict_place(each.generation_id, each.row.generated_offset) for each in batch.batch]
            self._windows.add(logged, state.epoch, rows)
            parts.reporting.add(logged, state.epoch)
            on_step(logged)
            observation().beat()
            count_step(logged, state.epoch, taken - begun if batch.waited else 0.0)
            counts.waiting_s += taken - begun if batch.waited else 0.0
            counts.around_s += time.perf_counter() - trained + (0.0 if batch.waited else taken - begun)
            parts.reporting.evaluate_if_due(state.step)
            if state.step % checkpoint_every == 0:
                self._save_checkpoint()
        self._save_checkpoint()
        if reason != "stopped":
            parts.reporting.evaluate(state.step)
        return reason

    def _limit_reached(self) -> Reason | None:
        options, step = self._config.options, self.state.step
        if options.max_steps is not None and step >= options.max_steps:
            return "max_steps"
        if options.max_windows is not None and step >= options.max_windows * self._config.policy.window_steps:
            return "max_windows"
        return None

    def _next_batch(self) -> RankBatch | Literal["end", "stop"]:
        """The batch of the next step, from the training log if it is there; `end` is that of the epoch."""
        stream, stop, begins = self._parts.stream, self._parts.stop, self._windows.begins
        known = self._parts.logged.steps.get(self.state.step + 1)
        if known is None:
            batch = stream.next_batch(stop, begins_window=begins)
        elif known.epoch != self.state.epoch:
            return "end"
        else:
            stream.read_withdrawals(known.documents_offset)
            batch = stream.logged_batch(known.step, stop)
        if begins:
            self._windows.documents_offset = stream.documents_offset
        return batch

    def _next_epoch(self) -> bool:
        """Close the epoch and start the next one; False when it was the last."""
        state, stream = self.state, self._parts.stream
        self._windows.close(state.epoch)
        if state.epoch >= self._config.options.epochs or state.step == 0:
            return False
        if state.epoch == 1:
            state.epoch_ends = stream.positions()
        state.epoch += 1
        self._parts.say(f"Epoch {state.epoch} begins after step {state.step}.")
        stream.open({}, state.epoch_ends)
        return True

    def _step(self, batch: RankBatch) -> StepLogged:
        options, state = self._config.options, self.state
        rate = learning_rate(
            state.step + 1,
            peak=options.learning_rate,
            schedule=options.schedule,
            warmup=warmup_steps(options.warmup_ratio, state.planned_steps),
            planned_steps=state.planned_steps,
        )
        with self._parts.group.detect_lost_rank():
            numbers = self._parts.engine.step(batch.mine, rate)
        state.step += 1
        self._counts.add(batch.batch, numbers, self._config.policy.clusters)
        ids = [each.row.id for each in batch.batch]
        if not numbers.updated:
            why = "its loss or gradient is not finite" if numbers.tokens else "no row has a response token"
            self._parts.say(f"Step {state.step} did not change the weights: {why}. Rows: {ids}.")
        self._guard.add(state.step, updated=numbers.updated, tokens=numbers.tokens, rows=ids)
        return StepLogged(
            step=state.step,
            loss=numbers.loss,
            loss_variance=numbers.loss_variance,
            grad_norm=numbers.grad_norm,
            learning_rate=rate,
            tokens=numbers.tokens,
            seconds=numbers.seconds,
            rows=tuple(each.row for each in batch.batch),
            all_tokens=numbers.all_tokens,
            padding=numbers.padding,
            memory_bytes=numbers.memory_bytes,
        )

    # -- what it leaves ----------------------------------------------------------------------------------------------

    def _save_checkpoint(self) -> None:
        config, state, parts = self._config, self.state, self._parts
        found = TrainerState(
            run=config.run,
            model=config.model,
            step=state.step,
            epoch=state.epoch,
            positions=pack(parts.stream.positions()),
            epoch_ends=None if state.epoch_ends is None else pack(state.epoch_ends),
            pending=tuple(self._windows.pending),
            last_window=self._windows.last,
            settings=config.settings(state.planned_steps),
            trained_from=config.trained_from,
            documents_offset=parts.stream.documents_offset,
        )
        found = parts.group.broadcast(found)  # seconds differ between ranks; all save the first one's
        if not state.step or found == state.saved:
            return
        with parts.group.detect_lost_rank():
            parts.checkpoints.save(found)
        state.saved = found

    def save_model(self) -> Path:
        """Write the trained model into the output folder (all ranks); returns its folder."""
        config, state, parts = self._config, self.state, self._parts
        options = config.options
        is_folder = Path(options.model).expanduser().is_dir()
        positions = parts.stream.positions()
        trained = TrainedModel(
            run=config.run,
            task=options.task,
            source=options.source,
            base=config.model if is_folder else options.model,
            base_is_hub_name=not is_folder,
            policy=config.policy,
            settings=config.settings(state.planned_steps),
            epochs=state.epoch,
            steps=state.step,
            covered=state.epoch_ends or positions,
            offsets=offsets_of(state.epoch_ends or positions) if config.trained_from.from_log else None,
        )
        return write_model(config.output, parts.engine, parts.tokenizer, config.template, trained, group=parts.group)

    def summary(self, reason: Reason, model_folder: Path | None) -> TrainSummary:
        """The numbers of this session, after `train` and perhaps `save_model`."""
        state, measured = self.state, self._parts.reporting.measured
        return TrainSummary(
            **asdict(self._counts),
            run=self._config.run,
            reason=reason,
            epoch=state.epoch,
            steps=state.step,
            windows_written=self._windows.written,
            rows_unreadable=self._parts.stream.unreadable,
            rows_left_out=self._parts.stream.left_out,
            held_out=tuple(measured[step] for step in sorted(measured)),
            resumed_from=state.resumed_from,
            checkpoint=None if state.saved is None else self._parts.checkpoints.path(state.step),
            model_folder=model_folder,
        )
