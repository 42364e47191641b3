"""`sedi train`: train on a run's kept rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.distribution import require
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, MetricsPort, Run, number_or_none

if TYPE_CHECKING:
    from consumers.trainer.record.metrics import StepLine

BUILTIN = "builtin"

TRAIN_NAMES = {"lr": "learning_rate", "warmup": "warmup_ratio", "borrow_after": "borrow_after_s", "eval": "eval_file"}
"""Flags that have another name in the options of a training."""


@command(
    "train",
    "sedi train --run demo",
    "sedi train --model ./llama --epochs 3 --until-end",
    "sedi train --processes 4 --epochs 3",
    "sedi train --offline --data rows.json --eval held-out.json --eval-every 50",
    "sedi train --task instruct --offline --data rows.json --output ./generator",
)
def train_command(
    *,
    run: Run = DEFAULT_RUN,
    model: Annotated[str, typer.Option("--model", help="A folder or hub name; `builtin` is SmolLM2-135M.")] = BUILTIN,
    task: Annotated[
        str,
        typer.Option(
            "--task", help="`follow` instructions; `instruct`: write the instruction to a text; offline only."
        ),
    ] = "follow",
    output: Annotated[Path | None, typer.Option("--output", help="For checkpoints and the model.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", help="The first may be live; later ones reread its rows. Default: 3 offline, else 1."),
    ] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", help="End after so many steps in all.")] = None,
    max_windows: Annotated[int | None, typer.Option("--max-windows", help="End after so many windows in all.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End when all kept rows are trained.")] = False,
    last_batch: Annotated[bool, typer.Option("--last-batch", help="Train the incomplete last batch too.")] = False,
    borrow_after: Annotated[
        str | None,
        typer.Option(
            "--borrow-after",
            help="Seconds without a whole batch after which empty clusters borrow, or `none`. Default: 30 when live.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Only rows that a judge gave at least this; waits for scores.")
    ] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="With --min-score: whose; default: the first.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Train the existing rows; wait for no more.")] = False,
    from_files: Annotated[
        Path | None, typer.Option("--from-files", metavar="FOLDER", help="With --offline: an archive of a run.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="With --offline: rows as JSON Lines, JSON, CSV or Parquet."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Rows a step, with --offline. Default: the run's.")
    ] = None,
    eval_file: Annotated[
        Path | None, typer.Option("--eval", metavar="FILE", help="Held-out rows, as --data: measure their loss.")
    ] = None,
    eval_every: Annotated[int | None, typer.Option("--eval-every", help="Steps; default: first and last.")] = None,
    eval_rows: Annotated[int | None, typer.Option("--eval-rows", help="Only the first N of them.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Event files in the output folder.")
    ] = True,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", help="Also to this tracker: `mlflow`, `wandb` or `trackio`; may be repeated."),
    ] = None,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate.")] = 2e-5,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of AdamW.")] = 0.0,
    warmup: Annotated[float, typer.Option("--warmup", help="Share of the planned steps.")] = 0.03,
    schedule: Annotated[str, typer.Option("--schedule", help="`constant`, `linear` or `cosine`.")] = "constant",
    planned_steps: Annotated[int | None, typer.Option("--planned-steps", help="Length of the schedule.")] = None,
    clip: Annotated[float | None, typer.Option("--clip", help="Largest gradient norm.")] = None,
    max_length: Annotated[int, typer.Option("--max-length", help="Tokens of a row.")] = 512,
    template: Annotated[str | None, typer.Option("--template", help="`chat` or `alpaca`.")] = None,
    micro_batch: Annotated[int | None, typer.Option("--micro-batch", help="Rows at a time.")] = None,
    precision: Annotated[str, typer.Option("--precision", help="`auto`, `bf16` or `fp32`.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="`auto`, `cpu` or `cuda`.")] = "auto",
    zero_stage: Annotated[int, typer.Option("--zero-stage", min=0, max=3, help="Of DeepSpeed.")] = 1,
    activation_checkpointing: Annotated[
        bool, typer.Option("--activation-checkpointing", help="Less memory, a third more time.")
    ] = False,
    lora_rank: Annotated[int | None, typer.Option("--lora-rank", help="Train LoRA adapters of this rank only.")] = None,
    lora_alpha: Annotated[float | None, typer.Option("--lora-alpha", help="Default: twice the rank.")] = None,
    lora_dropout: Annotated[
        float, typer.Option("--lora-dropout", help="Share of the adapters' inputs that is dropped.")
    ] = 0.0,
    lora_targets: Annotated[
        str | None, typer.Option("--lora-targets", help="Layers, as q_proj,v_proj; default: all linear ones.")
    ] = None,
    max_skipped: Annotated[int, typer.Option("--max-skipped", help="Fail after N bad steps in a row.")] = 10,
    layers: Annotated[int | None, typer.Option("--layers", help="Keep only the first N decoder layers.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Of torch on the CPU.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Ranks on this machine.")] = 1,
    checkpoint_every: Annotated[int | None, typer.Option("--checkpoint-every", help="Steps; default: windows.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove earlier checkpoints.")] = False,
    trust_checkpoint: Annotated[
        bool, typer.Option("--trust-checkpoint", help="Load one made elsewhere, which runs code that it holds.")
    ] = False,
    metrics_port: MetricsPort = None,
    common: CommonOptions,
) -> None:
    """Train on a run's kept rows, equally many of each cluster a batch, and log every window of steps.

    Resumes from the last checkpoint. Ctrl-C or SIGTERM ends it after the current step, with a checkpoint. By default it
    waits for rows until the run is stopped; a cluster that stays empty borrows from the fullest, since a generator may
    be waiting for the next window. --offline waits for nothing, and can train an archive or a file. The output folder
    gets checkpoints, metrics.jsonl, TensorBoard's files and, at the end, the model with its card.
    """
    given = dict(locals())  # every option, by its parameter
    require("train", "sedi train")
    import msgspec

    from consumers.trainer.distributed.launcher import Launcher
    from consumers.trainer.distributed.process_group import rank_from_environment
    from consumers.trainer.options import TrainOptions
    from consumers.trainer.run import train
    from schemas.errors import ConfigurationError
    from sedi.output import notify, print_json
    from sedi.reading_progress import counting_progress

    from_log = from_files is None and data is None
    settings = (common.cluster if from_log else common.settings)(metrics_port=metrics_port)
    if model == BUILTIN:
        from producers.backends.builtin.model import safetensors_folder

        model = str(safetensors_folder(settings.cache_dir, notify))
    fields = {TRAIN_NAMES.get(name, name): value for name, value in given.items()} | {
        "model": model,
        "epochs": epochs or (3 if offline else 1),
        "track": tuple(track or ()),
        "borrow_after_s": _borrow_after(borrow_after, live=not offline),
        "lora_targets": lora_targets and tuple(lora_targets.split(",")),
    }
    try:
        options = msgspec.convert(fields, TrainOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{error}. `sedi train --help` lists the options.") from error

    steps = options.max_steps

    def expect(known: int | None) -> None:
        nonlocal steps
        steps = known

    with counting_progress("training", "steps") as on_steps:

        def on_line(line: StepLine) -> None:
            notify(format_step(line))
            on_steps(line.step, steps)

        if processes == 1:
            summary = train(options, settings, on_line=on_line, expect=expect, say=notify)
        else:
            summary = Launcher(on_line=on_line, say=notify).launch(options, settings, processes)
    if rank_from_environment()[0] > 0:  # of another launcher: only the first rank prints
        return
    if common.as_json:
        print_json(summary)
    else:
        notify(f"{summary.steps_now} steps, {summary.steps} in all; ended: {summary.reason}")
        if summary.rows_left_out:
            notify(
                f"{summary.rows_left_out:,} rows were left out: their output says too little about their instruction."
            )
        if summary.model_folder is not None:
            follows = options.task == "follow"
            use = (
                "Try it: sedi chat"
                if follows
                else "Use it: sedi generate --producer goliath --backend transformers --model"
            )
            notify(f"The model: {summary.model_folder}. {use} {summary.model_folder}")


def _borrow_after(text: str | None, *, live: bool) -> float | None:
    """The seconds of `--borrow-after`; None: never borrow."""
    from consumers.trainer.options import BORROW_AFTER_S

    if text is None:
        return BORROW_AFTER_S if live else None
    return number_or_none("--borrow-after", text, float)


def format_step(line: StepLine) -> str:
    """A step's line in the terminal."""
    from sedi.output import percent, shown

    memory = "–" if line.memory_bytes is None else f"{line.memory_bytes / 2**30:.1f} GiB"
    speed = "–" if line.tokens_per_s is None else f"{line.tokens_per_s:,.0f}"
    return (
        f"step {line.step} (epoch {line.epoch}): loss {shown(line.loss)}, gradient norm {shown(line.grad_norm)}, "
        f"rate {line.learning_rate:.3g}, {speed} tokens/s, padding {percent(line.padding)}, memory {memory}"
    )
