"""A session's configuration, its state, and whether it may resume from a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consumers.trainer.options import TrainOptions
from consumers.trainer.result.checkpoint import Settings, TrainedFrom, TrainerState, unpack
from infra.models.templates import Template
from schemas.errors import TrainerError
from schemas.policy import Policy
from streams.core.batches import PartitionPosition

_PLANNED_STEPS = 1000
_FIXED = ("task", "model", "precision", "zero_stage", "batch_size", "lora", "processes", "min_score", "judge")


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """What stays the same while a session trains.

    options         with the precision resolved
    run, policy     of the rows
    model           its name on the training log
    processes       ranks that train together
    expected_steps  about how many steps the rows make; None: unknown
    """

    options: TrainOptions
    run: str
    policy: Policy
    model: str
    template: Template
    output: Path
    processes: int
    expected_steps: int | None

    def settings(self, planned_steps: int) -> Settings:
        """The training's settings, as a checkpoint and the model card hold them."""
        options = self.options
        return {
            "task": options.task,
            "model": self.model,
            "precision": options.precision,
            "zero_stage": options.zero_stage,
            "processes": self.processes,
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
            "planned_steps": planned_steps,
            "clip": options.clip,
            "micro_batch": options.micro_batch,
        }

    @property
    def trained_from(self) -> TrainedFrom:
        """What a checkpoint needs to become a model."""
        options, lora = self.options, self.options.lora
        folder = Path(options.model).expanduser()
        return TrainedFrom(
            model=str(folder.resolve()) if folder.is_dir() else options.model,
            from_log=options.data is None,
            layers=options.layers,
            lora_rank=None if lora is None else lora.rank,
            lora_alpha=None if lora is None else lora.alpha,
            lora_dropout=0.0 if lora is None else lora.dropout,
            lora_targets=options.lora_targets,
        )


@dataclass
class SessionState:
    """Where a session is.

    planned_steps   that the learning-rate schedule spans
    step, epoch     steps done so far, and the epoch that the next one belongs to
    epoch_ends      where the first epoch ended, once it has
    resumed_from    step of the checkpoint that the session resumed from
    saved           the newest checkpoint's state
    """

    planned_steps: int
    step: int = 0
    epoch: int = 1
    epoch_ends: dict[int, PartitionPosition] | None = None
    resumed_from: int | None = None
    saved: TrainerState | None = None

    @classmethod
    def begin(cls, config: SessionConfig, saved: TrainerState | None) -> "SessionState":
        """The state at a checkpoint, or at the first row."""
        planned = _planned_steps(config, saved)
        if saved is None:
            return cls(planned)
        epoch_ends = None if saved.epoch_ends is None else unpack(saved.epoch_ends)
        return cls(planned, saved.step, saved.epoch, epoch_ends, resumed_from=saved.step, saved=saved)


def check_resumable(config: SessionConfig, saved: TrainerState, say: Callable[[str], None]) -> None:
    """Raise TrainerError when this training cannot resume from a checkpoint; report settings that have changed."""
    if saved.run != config.run:
        raise TrainerError(
            f"{config.output} holds a training of run {saved.run!r}, not {config.run!r}. Give another output folder."
        )
    now, then = config.settings(_planned_steps(config, saved)), {"processes": 1, "task": "follow", **saved.settings}
    for key in _FIXED:
        if now[key] != then.get(key):
            raise TrainerError(
                f"The checkpoint was made with {key} {then.get(key)!r}, this training has {now[key]!r}. Use the same, "
                "another output folder, or start afresh (`--fresh`)."
            )
    changed = [f"{key} {then.get(key)} -> {value}" for key, value in now.items() if then.get(key) != value]
    if changed:
        say(f"Settings that changed since the checkpoint: {', '.join(changed)}.")


def _planned_steps(config: SessionConfig, saved: TrainerState | None) -> int:
    planned = config.options.planned or config.expected_steps or _PLANNED_STEPS
    if saved is None or config.options.planned_steps is not None:
        return planned
    return int(saved.settings.get("planned_steps") or planned)
