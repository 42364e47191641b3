"""What a training can be told, and what it tells at its end. Defaults are Table 3 of the paper where it has one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consumers.trainer.schedule import Schedule
from schemas.errors import ConfigurationError

Template = Literal["chat", "alpaca"]
Precision = Literal["bf16", "fp32"]
Device = Literal["auto", "cpu", "cuda"]
Reason = Literal["end_of_stream", "max_steps", "max_windows", "stopped"]

_PLANNED_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """One training.

    run, model             the run's name; a folder that transformers loads, or a hub name
    output                 where checkpoints and the model go; default: `<state_dir>/<run>`

    epochs                 the first is live, the others read the same rows again
    max_steps, max_windows steps and windows of the whole training (earlier sessions count) after which it ends
    until_end              end when all that is on `kept` has been trained, instead of waiting for more
    last_batch             train the last incomplete batch of the stream too
    borrow_after_s         seconds without a whole batch after which empty clusters borrow; None: wait

    max_length             tokens of a row
    template               None: the tokenizer's chat template if it has one, else `alpaca`
    learning_rate, weight_decay, warmup_ratio, schedule
    planned_steps          what the schedule is laid out for; None: what a resumed training began with, else max_steps,
                           else 1000
    clip                   largest gradient norm; None: no clipping
    micro_batch            rows at a time; None: the whole batch. The loss does not depend on it
    rng_seed               of dropout and the like

    precision, device, zero_stage
    layers                 keep only the first N decoder layers: a smaller trainee with real weights
    threads                of torch on the CPU; None: torch's own choice

    checkpoint_every       steps; None: every window. There is one more at every stop
    keep_checkpoints       how many of the last stay
    fresh                  forget this training's earlier checkpoints
    write_log              write windows to the run's training log; without it nobody hears of this training
    """

    run: str
    model: str
    output: Path | None = None

    epochs: int = 1
    max_steps: int | None = None
    max_windows: int | None = None
    until_end: bool = False
    last_batch: bool = False
    borrow_after_s: float | None = None

    max_length: int = 512
    template: Template | None = None
    learning_rate: float = 2e-5
    weight_decay: float = 0.0
    warmup_ratio: float = 0.03
    schedule: Schedule = "constant"
    planned_steps: int | None = None
    clip: float | None = None
    micro_batch: int | None = None
    rng_seed: int = 42

    precision: Precision = "bf16"
    device: Device = "auto"
    zero_stage: Literal[1, 2, 3] = 1
    layers: int | None = None
    threads: int | None = None

    checkpoint_every: int | None = None
    keep_checkpoints: int = 2
    fresh: bool = False
    write_log: bool = True

    def __post_init__(self) -> None:
        at_least_one = ("epochs", "max_steps", "max_windows", "planned_steps", "micro_batch", "layers", "threads")
        for name in (*at_least_one, "checkpoint_every", "keep_checkpoints"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        for name, least in (("max_length", 16), ("weight_decay", 0), ("warmup_ratio", 0), ("borrow_after_s", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"{name} is {value}; it must be at least {least}.")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} is {value}; it must be greater than 0.")
        if self.schedule != "constant" and self.planned_steps is None and self.max_steps is None:
            raise ConfigurationError(
                f"schedule {self.schedule!r} falls to 0 at the last step, and a live run does not say which that is. "
                "Give planned_steps or max_steps, or take the schedule `constant`."
            )

    @property
    def planned(self) -> int:
        """Steps that the schedule of a training that begins now is laid out for."""
        return self.planned_steps or self.max_steps or _PLANNED_STEPS


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """How a training ended.

    steps                of the whole training; `steps_now` of this session, and so are all numbers after it
    rows, borrowed       rows trained, and how many of them stood in another cluster's place
    tokens               response tokens that took part in the loss
    seconds              in steps, waiting not counted
    skipped_steps        steps whose loss or gradient was not finite or that had no response token: no update
    rows_without_response  trained with no weight; `rows_truncated` lost tokens to max_length
    checkpoint, model_folder   where they are; model_folder is None unless the training came to its end
    """

    run: str
    reason: Reason
    epoch: int
    steps: int
    steps_now: int
    rows: int
    borrowed: int
    tokens: int
    seconds: float
    windows_written: int
    skipped_steps: int
    rows_without_response: int
    rows_truncated: int
    rows_unreadable: int
    first_loss: float | None
    last_loss: float | None
    resumed_from: int | None
    checkpoint: Path | None
    model_folder: Path | None
