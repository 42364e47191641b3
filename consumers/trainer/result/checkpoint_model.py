"""A checkpoint's weights as a folder that transformers loads, so that a model can be evaluated while it is trained.

    <cache>/models/checkpoints/<run>-<step>-<digest>/    weights, configuration, tokenizer, generation_config.json,
                                                         and sedi.json with run, step, task, template and offsets

It is what the training would write as its model at that step: the same weights in the same precision, only the first
layers where it keeps only these, adapters merged. The base model's folder must still be there. A checkpoint is verified
each time (`seal`), since loading it unpickles; the folder is made once, under a temporary name.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from consumers.trainer.engine.lora import Lora, save_merged, with_adapters
from consumers.trainer.options import Precision
from consumers.trainer.record.output_capture import capture_output
from consumers.trainer.result.checkpoint import (
    FOLDER,
    STATE,
    TrainedFrom,
    TrainerState,
    checkpoint_path,
    offsets_of,
    verified,
)
from consumers.trainer.result.model_export import write_generation_config, write_model_info
from consumers.trainer.result.seal import Seal
from infra.digest import sha256_of
from infra.models.loading import load_model, load_tokenizer
from infra.models.templates import Template, choose_template
from infra.models.turned_rows import Task
from schemas.errors import TrainerError

_WEIGHTS = "mp_rank_00_model_states.pt"  # at ZeRO stages 0 to 2; at stage 3 each rank has its part


def model_of_checkpoint(
    output: Path, step: int, cache: Path, say: Callable[[str], None] = lambda line: None, *, trust: bool = False
) -> Path:
    """The folder of the model at `step` of the training in `output`, made under `cache` unless it is there.

    Raises TrainerError when there is no such checkpoint, or it cannot be read; UntrustedCheckpoint when another
    installation wrote it, unless `trust`.
    """
    path = checkpoint_path(output / FOLDER, step)
    if not path.is_dir():
        steps = [int(each.name.removeprefix("step-")) for each in sorted((output / FOLDER).glob("step-????????"))]
        there = f"There are those of steps {', '.join(map(str, steps))}." if steps else "There is none."
        raise TrainerError(
            f"There is no checkpoint of step {step} in {output / FOLDER}. {there} A training keeps its newest only."
        )
    state = verified(path, Seal.of(output.parent, trust_all=trust))
    origin = state.trained_from
    if origin is None:
        raise TrainerError(
            f"The checkpoint {path} does not say which model it was trained from: it is from before that was saved. "
            "Resume the training (`sedi train`), whose next checkpoint does, or let it end and take its model."
        )
    digest = sha256_of(path / STATE)  # it holds the digests of all other files
    target = cache / "models" / "checkpoints" / f"{state.run}-{step}-{digest[:16]}"
    if not target.is_dir():
        say(f"Writing the model of step {step} of {state.run} to {target}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            draft = Path(folder) / target.name
            try:
                with capture_output(Path(folder) / "log"):
                    _write(draft, path, state, origin)
                draft.rename(target)
            except OSError as error:
                if not target.is_dir():  # or another process was first
                    raise TrainerError(f"The model of {path} could not be written to {target}: {error}.") from error
    return target


def _write(draft: Path, path: Path, state: TrainerState, origin: TrainedFrom) -> None:
    import torch

    precision: Precision = "fp32" if state.settings.get("precision") == "fp32" else "bf16"
    tokenizer = load_tokenizer(origin.model)
    model = load_model(origin.model, precision, origin.layers)
    if origin.lora_rank is not None:
        lora = Lora(origin.lora_rank, origin.lora_alpha or 0.0, origin.lora_dropout, origin.lora_targets)
        model = with_adapters(model, lora)
    if state.settings.get("zero_stage") == 0:
        model.float()  # as the engine trains it
    _load(model, path, partly=origin.lora_rank is not None)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    save_merged(model, {name: weight.to(dtype) for name, weight in model.state_dict().items()}, draft)
    tokenizer.save_pretrained(draft)
    template = choose_template(tokenizer, cast("Template | None", state.settings.get("template")))
    write_generation_config(draft, tokenizer, template)
    positions = state.epoch_ends or state.positions
    task: Task = "instruct" if state.settings.get("task") == "instruct" else "follow"
    write_model_info(draft, state.run, template, task, state.step, offsets_of(positions) if origin.from_log else None)


def _load(model: Any, path: Path, *, partly: bool) -> None:
    """Load a verified checkpoint's weights; `partly`: it holds the trained ones only."""
    try:
        missing, unexpected = model.load_state_dict(_weights(path, partly=partly), strict=False)
    except Exception as error:
        raise TrainerError(f"The checkpoint {path} cannot be loaded ({error}).") from error
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    lacking = sorted(trained & set(missing)) or unexpected
    if lacking:
        raise TrainerError(
            f"The checkpoint {path} does not fit the model it was trained from: {lacking[0]} is only in one of them. "
            "Put the model back that the training began with."
        )


def _weights(path: Path, *, partly: bool) -> dict[str, Any]:
    import torch

    if (path / _WEIGHTS).is_file():
        found = torch.load(path / _WEIGHTS, map_location="cpu", weights_only=False)
        return cast("dict[str, Any]", found["module"])
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    merged = get_fp32_state_dict_from_zero_checkpoint(str(path.parent), path.name, exclude_frozen_parameters=partly)
    return cast("dict[str, Any]", merged)
