"""The options of a training and its summary. Defaults are those of the paper's Table 3, where it has one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consumers.trainer.engine.learning_rate import Schedule
from consumers.trainer.engine.lora import Lora
from consumers.trainer.record.metrics import HeldOutLine
from consumers.trainer.record.trackers import TrackerName
from infra.models.device import Device
from infra.models.templates import Template
from infra.models.turned_rows import Task
from schemas.errors import ConfigurationError

Precision = Literal["bf16", "fp32"]
PrecisionChoice = Literal["auto", "bf16", "fp32"]
BORROW_AFTER_S = 30.0
"""Default of a live training: seconds without a whole batch after which empty clusters borrow."""

Reason = Literal["end_of_stream", "max_steps", "max_windows", "stopped"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """One training.

    run, model             the run's name; a folder that transformers loads, or a hub name
    task                   follow: learn outputs; instruct: rows turned round, for an instruction generator. It is
                           trained offline, and never writes windows, since it says nothing about the run's feedback
    output                 where checkpoints and the model go; default: `<state_dir>/<run>`, or `generator` in it for an
                           instruction generator

    epochs                 the first is live, the others read the same rows again
    max_steps, max_windows steps and windows of the whole training, earlier sessions included, after which it ends
    until_end              end when all kept rows are trained, instead of waiting for more
    last_batch             train the last incomplete batch of the stream too
    borrow_after_s         seconds without a whole batch after which empty clusters borrow; while a window of rows waits
                           and no more arrive, they borrow at once. None: never (`sedi train` sets BORROW_AFTER_S for a
                           live training)
    min_score              train only rows with at least this score; rows wait until they are judged
    judge                  whose score counts; None: that of the first judge on the log

    offline                train the rows that exist and wait for nothing: those of the run's log, or
    from_files             of an archive of a run, or
    data                   of a file in Alpaca's form; with these two no run's log is read or written
    batch_size             rows a step, offline; None: the policy's, or 16 for a file without a manifest

    eval_file              held-out rows in Alpaca's form: their loss is measured before the first step and at the end,
    eval_every             and every so many steps
    eval_rows              only the first so many of them
    tensorboard            write TensorBoard's event files into the output folder
    track                  trackers that get the same numbers (`consumers.trainer.record.trackers`)

    max_length             tokens of a row
    template               None: the tokenizer's chat template if it has one, else `alpaca`
    learning_rate, weight_decay, warmup_ratio, schedule
    planned_steps          length of the learning-rate schedule; None: that of a resumed training, else max_steps,
                           offline as many as the rows make, else 1000
    clip                   largest gradient norm; None: no clipping
    micro_batch            rows at a time; None: the whole batch. The loss does not depend on it
    max_skipped            steps in a row with a loss or gradient that is not finite after which the training fails
    rng_seed               of dropout

    lora_rank              train only adapters of this rank beside the linear layers; None: all weights
    lora_alpha             the adapters are scaled by alpha / rank; None: twice the rank
    lora_dropout, lora_targets   the latter names layers, None: all linear ones but the output layer

    precision              auto: that of the checkpoint, else what this machine is faster in
    device
    zero_stage             what DeepSpeed shards over the ranks: 0 nothing, 1 optimizer states, 2 gradients too,
                           3 weights too
    activation_checkpointing   recompute activations in the backward pass instead of keeping them
    layers                 keep only the first N decoder layers: a smaller model with real weights
    threads                of torch on the CPU; None: torch's own choice

    checkpoint_every       steps; None: every window. There is one more whenever a session ends
    keep_checkpoints       how many of the newest stay
    fresh                  remove this training's earlier checkpoints
    trust_checkpoint       resume from a checkpoint that this installation has not sealed: loading it runs code it holds
    write_log              write windows to the run's training log
    """

    run: str
    model: str
    task: Task = "follow"
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
    track: tuple[TrackerName, ...] = ()
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
        least_of = {"max_length": 16, "weight_decay": 0, "warmup_ratio": 0, "borrow_after_s": 0}
        for name, least in {**dict.fromkeys(at_least_one + counts, 1), **least_of}.items():
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
            raise ConfigurationError("lora_alpha, lora_dropout and lora_targets are for LoRA. Give lora_rank too.")
        self._check_source()
        if self.schedule != "constant" and not (self.planned_steps or self.max_steps or self.offline):
            raise ConfigurationError(
                f"schedule {self.schedule!r} falls to 0 at the last step, and a live run has no known last step. "
                "Give planned_steps or max_steps, or take the schedule `constant`."
            )

    def _check_source(self) -> None:
        if self.task == "instruct" and not self.offline:
            raise ConfigurationError(
                "An instruction generator is trained on rows that exist, and not while they are generated: the run's "
                "feedback would take its gradients for those of the run's model. Add --offline."
            )
        if (self.from_files or self.data) and not self.offline:
            raise ConfigurationError("Rows from an archive or a file are trained offline. Add --offline.")
        if self.min_score is not None and not self.from_log:
            raise ConfigurationError("min_score is for rows of a run's log. For others use `sedi export --min-score`.")
        if self.judge is not None and self.min_score is None:
            raise ConfigurationError("judge names whose score counts. Give min_score too.")
        if self.from_files and self.data:
            raise ConfigurationError("Rows come from an archive or from a file, not both. Leave one of them out.")
        if self.batch_size is not None and not self.offline:
            raise ConfigurationError(
                "A live training uses the batch_size of the run's policy. Choose another with --offline."
            )
        if self.eval_file is None and (self.eval_every or self.eval_rows):
            raise ConfigurationError("eval_every and eval_rows are for held-out rows. Give eval_file too.")

    @property
    def tracked(self) -> dict[str, str | int | float | bool | None]:
        """What trackers are told of a training: how it trains, and no paths."""
        rates = ("epochs", "learning_rate", "weight_decay", "warmup_ratio", "schedule", "clip")
        return {name: getattr(self, name) for name in (*rates, "max_length", "lora_rank", "zero_stage", "rng_seed")}

    @property
    def from_log(self) -> bool:
        """Whether the rows are those of the run's log; only then are windows written to it."""
        return self.from_files is None and self.data is None

    @property
    def writes_windows(self) -> bool:
        """Whether windows are written to the run's training log."""
        return self.write_log and self.from_log and self.task == "follow"

    @property
    def source(self) -> str:
        """Where the rows are read from, in words."""
        if self.data is not None:
            return f"the file {self.data.name}"
        return "the run's log" if self.from_files is None else "an archive of the run"

    @property
    def lora(self) -> Lora | None:
        """The adapters to train; None when all weights are trained."""
        if self.lora_rank is None:
            return None
        return Lora(self.lora_rank, self.lora_alpha or 2.0 * self.lora_rank, self.lora_dropout, self.lora_targets)

    @property
    def planned(self) -> int | None:
        """Length of the learning-rate schedule, as far as the options say."""
        return self.planned_steps or self.max_steps


def default_output(task: Task, state_dir: Path, run: str) -> Path:
    """Where a training of a run puts its checkpoints and model, unless an output folder is given."""
    return state_dir / run if task == "follow" else state_dir / run / "generator"


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """How a training ended.

    steps                of the whole training; `steps_now` and all later numbers are of this session
    rows, borrowed       rows trained, and how many of them filled another cluster's slot
    tokens               response tokens in the loss
    seconds              in steps, without waiting
    around_s             between steps: taking batches that were ready, logging; without checkpoints
    waiting_s            waiting for rows
    skipped_steps        steps without an update: loss or gradient not finite, or no response token
    rows_without_response  trained with no weight; `rows_truncated` lost tokens to max_length
    rows_left_out        that an instruction generator learns nothing from; those of a file are reported at the start
    held_out             all held-out losses so far, those of earlier sessions too
    checkpoint, model_folder   where they are; model_folder is None for a training that was stopped
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
    rows_left_out: int
    first_loss: float | None
    last_loss: float | None
    held_out: tuple[HeldOutLine, ...]
    resumed_from: int | None
    checkpoint: Path | None
    model_folder: Path | None
