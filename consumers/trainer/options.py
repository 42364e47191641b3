"""What a training can be told, and what it tells at its end. Defaults are Table 3 of the paper where it has one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consumers.trainer.engine.learning_rate import Schedule
from consumers.trainer.engine.lora import Lora
from consumers.trainer.record.metrics import HeldOutLine
from schemas.errors import ConfigurationError

Template = Literal["chat", "alpaca"]
Precision = Literal["bf16", "fp32"]
PrecisionChoice = Literal["auto", "bf16", "fp32"]
Device = Literal["auto", "cpu", "cuda"]
BORROW_AFTER_S = 30.0
"""What a live training waits for a whole batch unless it is told otherwise, in seconds."""

Reason = Literal["end_of_stream", "max_steps", "max_windows", "stopped"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """One training.

    run, model             the run's name; a folder that transformers loads, or a hub name
    output                 where checkpoints and the model go; default: `<state_dir>/<run>`

    epochs                 the first is live, the others read the same rows again
    max_steps, max_windows steps and windows of the whole training (earlier sessions count) after which it ends
    until_end              end when all that is on `kept` has been trained, instead of waiting for more
    last_batch             train the last incomplete batch of the stream too
    borrow_after_s         seconds without a whole batch after which empty clusters borrow, or at once while a window
                           of rows waits and no more come; None: wait (`sedi train` says BORROW_AFTER_S of a live one)
    min_score              train only rows that a judge gave at least this; rows wait until they are judged
    judge                  whose score counts; None: that of the first judge on the log

    offline                train what is there and wait for nothing: the run's log, or
    from_files             an archive of a run, or
    data                   a file of rows in Alpaca's form; of these two no run's log is read or written
    batch_size             rows a step, offline; None: the policy's, or 16 for a file that says nothing of it

    eval_file              rows that are not trained, in Alpaca's form: their loss is measured before the first step, at
                           the end, and
    eval_every             every so many steps; None: only then
    eval_rows              only the first so many of them
    tensorboard            write TensorBoard's files into the output folder

    max_length             tokens of a row
    template               None: the tokenizer's chat template if it has one, else `alpaca`
    learning_rate, weight_decay, warmup_ratio, schedule
    planned_steps          what the schedule is laid out for; None: what a resumed training began with, else max_steps,
                           offline as many as the rows make, else 1000
    clip                   largest gradient norm; None: no clipping
    micro_batch            rows at a time; None: the whole batch. The loss does not depend on it
    max_skipped            steps in a row with a loss or gradient that is not finite after which the training gives up
    rng_seed               of dropout and the like

    lora_rank              train adapters of this rank beside the linear layers, and nothing else; None: all weights
    lora_alpha             they are scaled by alpha / rank; None: twice the rank
    lora_dropout, lora_targets   the latter names layers, None: all linear ones but the output layer

    precision              auto: that of the checkpoint it goes on from, else what this machine is faster in
    device
    zero_stage             what DeepSpeed splits between processes: 0 nothing, 1 optimizer states, 2 gradients too,
                           3 weights too
    activation_checkpointing   make activations again in the backward pass instead of keeping them
    layers                 keep only the first N decoder layers: a smaller trainee with real weights
    threads                of torch on the CPU; None: torch's own choice

    checkpoint_every       steps; None: every window. There is one more at every stop
    keep_checkpoints       how many of the last stay
    fresh                  forget this training's earlier checkpoints
    trust_checkpoint       go on from a checkpoint that this installation has not sealed: loading it runs code it holds
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
    min_score: float | None = None
    judge: str | None = None

    offline: bool = False
    from_files: Path | None = None
    data: Path | None = None
    batch_size: int | None = None

    eval_file: Path | None = None
    eval_every: int | None = None
    eval_rows: int | None = None
    tensorboard: bool = True

    max_length: int = 512
    template: Template | None = None
    learning_rate: float = 2e-5
    weight_decay: float = 0.0
    warmup_ratio: float = 0.03
    schedule: Schedule = "constant"
    planned_steps: int | None = None
    clip: float | None = None
    micro_batch: int | None = None
    max_skipped: int = 10
    rng_seed: int = 42

    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] | None = None

    precision: PrecisionChoice = "auto"
    device: Device = "auto"
    zero_stage: Literal[0, 1, 2, 3] = 1
    activation_checkpointing: bool = False
    layers: int | None = None
    threads: int | None = None

    checkpoint_every: int | None = None
    keep_checkpoints: int = 2
    fresh: bool = False
    trust_checkpoint: bool = False
    write_log: bool = True

    def __post_init__(self) -> None:
        at_least_one = ("epochs", "max_steps", "max_windows", "planned_steps", "micro_batch", "layers", "threads")
        counts = ("max_skipped", "lora_rank", "checkpoint_every", "keep_checkpoints", "eval_every", "eval_rows")
        for name in at_least_one + counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        for name, least in (("max_length", 16), ("weight_decay", 0), ("warmup_ratio", 0), ("borrow_after_s", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"{name} is {value}; it must be at least {least}.")
        for name in ("learning_rate", "clip", "lora_alpha"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} is {value}; it must be greater than 0.")
        if not 0 <= self.lora_dropout < 1:
            raise ConfigurationError(f"lora_dropout is {self.lora_dropout}; it must be at least 0 and less than 1.")
        if self.lora_rank is None and (self.lora_alpha or self.lora_dropout or self.lora_targets):
            raise ConfigurationError("lora_alpha, lora_dropout and lora_targets are about LoRA. Give lora_rank too.")
        self._check_source()
        if self.schedule != "constant" and not (self.planned_steps or self.max_steps or self.offline):
            raise ConfigurationError(
                f"schedule {self.schedule!r} falls to 0 at the last step, and a live run does not say which that is. "
                "Give planned_steps or max_steps, or take the schedule `constant`."
            )

    def _check_source(self) -> None:
        if (self.from_files or self.data) and not self.offline:
            raise ConfigurationError("Rows from an archive or a file are trained offline. Add --offline.")
        if self.min_score is not None and not self.from_log:
            raise ConfigurationError("min_score is about rows on a run's log. Of others, export those: `sedi export`.")
        if self.judge is not None and self.min_score is None:
            raise ConfigurationError("judge says whose score counts. Give min_score too.")
        if self.from_files and self.data:
            raise ConfigurationError("Rows come from an archive or from a file, not both. Leave one of them out.")
        if self.batch_size is not None and not self.offline:
            raise ConfigurationError(
                "A live training has the run's own batch_size, which is part of its policy. Choose"
                " another with --offline."
            )
        if self.eval_file is None and (self.eval_every or self.eval_rows):
            raise ConfigurationError("eval_every and eval_rows are about held-out rows. Give eval_file too.")

    @property
    def from_log(self) -> bool:
        """Whether the rows are those on the run's own log, so that its windows belong there."""
        return self.from_files is None and self.data is None

    @property
    def lora(self) -> Lora | None:
        """The adapters that are trained; None when all weights are."""
        if self.lora_rank is None:
            return None
        return Lora(self.lora_rank, self.lora_alpha or 2.0 * self.lora_rank, self.lora_dropout, self.lora_targets)

    @property
    def planned(self) -> int | None:
        """Steps that the schedule of a training that begins now is laid out for; None: nobody has said."""
        return self.planned_steps or self.max_steps


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """How a training ended.

    steps                of the whole training; `steps_now` of this session, and so are all numbers after it
    rows, borrowed       rows trained, and how many of them stood in another cluster's place
    tokens               response tokens that took part in the loss
    seconds              in steps, waiting not counted
    around_s             around the steps: taking batches that had not to be waited for, logging; no checkpoints
    waiting_s            waiting for batches, until there were rows to make them of
    skipped_steps        steps whose loss or gradient was not finite or that had no response token: no update
    rows_without_response  trained with no weight; `rows_truncated` lost tokens to max_length
    held_out             the losses on held-out rows so far, those of earlier sessions too
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
    around_s: float
    waiting_s: float
    windows_written: int
    skipped_steps: int
    rows_without_response: int
    rows_truncated: int
    rows_unreadable: int
    first_loss: float | None
    last_loss: float | None
    held_out: tuple[HeldOutLine, ...]
    resumed_from: int | None
    checkpoint: Path | None
    model_folder: Path | None
