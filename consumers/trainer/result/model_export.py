"""The trained model as a folder that transformers loads, with its model card.

    model/  weights and configuration, tokenizer, generation_config.json      as transformers saves and loads them
            README.md, curves.svg                                             the model card
            sedi.json                                                         the task and template it was trained with
    adapter/                                                                  with LoRA: the adapter alone

The folders are written under a temporary name and renamed when they are complete; until then the earlier ones stay.
"""

import shutil
from pathlib import Path
from typing import Any

import msgspec

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.step import Engine
from consumers.trainer.record.curves import CURVES, curves
from consumers.trainer.record.metrics import METRICS, Metrics, read_metrics
from consumers.trainer.result.model_card import CARD, TrainedModel, card
from infra.models.model_info import MODEL_INFO, ModelInfo
from infra.models.templates import Template, end_tokens
from infra.models.turned_rows import Task
from schemas.errors import TrainerError

MODEL, ADAPTER = "model", "adapter"


def write_model(
    output: Path, engine: Engine, tokenizer: Any, template: Template, trained: TrainedModel, *, group: ProcessGroup
) -> Path:
    """Write model, card and adapter into `output` (all ranks). Returns the model's folder.

    Raises TrainerError when they cannot be written; the earlier ones then stay.
    """
    try:
        draft = _draft(output / MODEL, group)
        engine.save_model(draft)
        if group.is_first:
            tokenizer.save_pretrained(draft)
            write_generation_config(draft, tokenizer, template)
            _write_card(draft, read_metrics(output / METRICS), template, trained)
        adapter = _draft(output / ADAPTER, group)
        has_adapter = engine.save_adapter(adapter)
        if group.is_first:
            _replace(draft, output / MODEL)
            if has_adapter:
                _replace(adapter, output / ADAPTER)
    except OSError as error:
        raise TrainerError(
            f"The model could not be written to {output / MODEL}: {error}. The checkpoint is whole: make room and "
            "start again to write the model."
        ) from error
    return output / MODEL


def write_model_info(
    folder: Path, run: str, template: Template, task: Task, steps: int, offsets: tuple[int, ...] | None
) -> None:
    """Write `sedi.json`."""
    info = ModelInfo(run=run, template=template, task=task, steps=steps, offsets=offsets)
    (folder / MODEL_INFO).write_bytes(msgspec.json.encode(info) + b"\n")


def write_generation_config(folder: Path, tokenizer: Any, template: Template) -> None:
    """Write which tokens end an answer in the template."""
    from transformers import GenerationConfig

    exists = (folder / "generation_config.json").is_file()
    config = GenerationConfig.from_pretrained(folder) if exists else GenerationConfig()  # type: ignore[no-untyped-call]
    ends = end_tokens(tokenizer, template)
    config.eos_token_id = ends[0] if len(ends) == 1 else ends or None
    config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    config.save_pretrained(folder)


def _write_card(folder: Path, metrics: Metrics, template: Template, trained: TrainedModel) -> None:
    (folder / CURVES).write_text(curves(metrics), encoding="utf-8", newline="\n")
    (folder / CARD).write_text(card(trained, metrics), encoding="utf-8", newline="\n")
    write_model_info(folder, trained.run, template, trained.task, trained.steps, trained.offsets)


def _draft(target: Path, group: ProcessGroup) -> Path:
    """The temporary name of a folder, with nothing left there."""
    draft = target.with_name(f".draft-{target.name}")
    if group.is_first:
        shutil.rmtree(draft, ignore_errors=True)
    return draft


def _replace(draft: Path, target: Path) -> None:
    """Rename the draft to the folder's name."""
    before = target.with_name(f".before-{target.name}")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    draft.rename(target)
    shutil.rmtree(before, ignore_errors=True)
