"""`sedi train`: the trainer of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from schemas.events import StepLogged

BUILTIN = "builtin"


def register(app: typer.Typer) -> None:
    examples = epilog("sedi train --run demo", "sedi train --model ./llama --epochs 3 --until-end")
    app.command("train", epilog=examples)(train_command)


def train_command(
    *,
    run: Run = DEFAULT_RUN,
    model: Annotated[str, typer.Option("--model", help="A folder or hub name; `builtin` is SmolLM2-135M.")] = BUILTIN,
    output: Annotated[Path | None, typer.Option("--output", help="For checkpoints and the model.")] = None,
    epochs: Annotated[int, typer.Option("--epochs", help="The first is live; the others read the rows again.")] = 1,
    max_steps: Annotated[int | None, typer.Option("--max-steps", help="End after so many steps in all.")] = None,
    max_windows: Annotated[int | None, typer.Option("--max-windows", help="End after so many windows in all.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End when all that is kept was trained.")] = False,
    last_batch: Annotated[bool, typer.Option("--last-batch", help="Train the incomplete last batch too.")] = False,
    borrow_after: Annotated[float | None, typer.Option("--borrow-after", help="Seconds; default: wait.")] = None,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate.")] = 2e-5,
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0,
    warmup: Annotated[float, typer.Option("--warmup", help="Share of the planned steps.")] = 0.03,
    schedule: Annotated[str, typer.Option("--schedule", help="`constant`, `linear` or `cosine`.")] = "constant",
    planned_steps: Annotated[int | None, typer.Option("--planned-steps", help="What the schedule is for.")] = None,
    clip: Annotated[float | None, typer.Option("--clip", help="Largest gradient norm.")] = None,
    max_length: Annotated[int, typer.Option("--max-length", help="Tokens of a row.")] = 512,
    template: Annotated[str | None, typer.Option("--template", help="`chat` or `alpaca`.")] = None,
    micro_batch: Annotated[int | None, typer.Option("--micro-batch", help="Rows at a time.")] = None,
    precision: Annotated[str, typer.Option("--precision", help="`bf16` or `fp32`.")] = "bf16",
    device: Annotated[str, typer.Option("--device", help="`auto`, `cpu` or `cuda`.")] = "auto",
    zero_stage: Annotated[int, typer.Option("--zero-stage", min=1, max=3, help="Of DeepSpeed.")] = 1,
    layers: Annotated[int | None, typer.Option("--layers", help="Keep only the first N decoder layers.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Of torch on the CPU.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option("--checkpoint-every", help="Steps; default: windows.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier checkpoints.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Train on a run's kept rows, one of each cluster a batch, and log every window of steps.

    Goes on from its last checkpoint. Ctrl-C or SIGTERM ends it after the step, with a checkpoint. Waits for rows until
    the run is stopped, unless told otherwise.
    """
    import msgspec

    from consumers.trainer.options import TrainOptions
    from consumers.trainer.run import train
    from schemas.errors import ConfigurationError
    from sedi.output import print_json, shown, tell

    settings = cluster_of(bootstrap_servers, state_dir)
    if model == BUILTIN:
        from producers.builtin.model import safetensors_folder

        model = str(safetensors_folder(settings.cache_dir, tell))
    fields = {
        "run": run, "model": model, "output": output, "epochs": epochs, "max_steps": max_steps,
        "max_windows": max_windows, "until_end": until_end, "last_batch": last_batch, "borrow_after_s": borrow_after,
        "learning_rate": lr, "weight_decay": weight_decay, "warmup_ratio": warmup, "schedule": schedule,
        "planned_steps": planned_steps, "clip": clip, "max_length": max_length, "template": template,
        "micro_batch": micro_batch, "precision": precision, "device": device, "zero_stage": zero_stage,
        "layers": layers, "threads": threads, "checkpoint_every": checkpoint_every, "fresh": fresh,
    }  # fmt: skip
    try:
        options = msgspec.convert(fields, TrainOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{error}. `sedi train --help` lists what can be said.") from error

    def told(step: StepLogged) -> None:
        norm, seconds = shown(step.grad_norm), shown(step.seconds)
        tell(f"step {step.step}: loss {shown(step.loss)}, gradient norm {norm}, {step.tokens} tokens, {seconds} s")

    summary = train(options, settings, on_step=told, say=tell)
    if as_json:
        print_json(summary)
    else:
        tell(f"{summary.steps_now} steps, {summary.steps} in all; ended: {summary.reason}")
