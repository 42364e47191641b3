"""What a training leaves: a folder that transformers loads, and that says where it is from.

    model/  weights and configuration, tokenizer, generation_config.json      as transformers saves and loads them
            README.md, curves.svg                                             the model card
            sedi.json                                                         the template it was trained with
    adapter/                                                                  with LoRA: the adapter alone

The folders are written under another name and take their own when all is there, the one before staying until then.
"""

import shutil
from pathlib import Path
from typing import Any, Protocol

import msgspec

from consumers.trainer.data.templates import encode
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.options import Template
from consumers.trainer.record.curves import CURVES, curves
from consumers.trainer.record.metrics import METRICS, Metrics, read_metrics
from consumers.trainer.result.model_card import CARD, TrainedModel, card
from schemas.errors import TrainerError
from schemas.events import Instruction

MODEL, ADAPTER, TOLD = "model", "adapter", "sedi.json"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`sedi.json`: what a program must know to talk to the model."""

    run: str
    template: Template
    steps: int


class SavesModel(Protocol):
    """The engine, as far as it is needed here; all ranks call, the first writes."""

    def save_model(self, folder: Path) -> None: ...
    def save_adapter(self, folder: Path) -> bool: ...


def write_model(
    output: Path, engine: SavesModel, tokenizer: Any, template: Template, trained: TrainedModel, world: ProcessGroup
) -> Path:
    """Write everything into `output`; all ranks call. Returns the model's folder.

    Raises TrainerError when it cannot be written; the one before is then still there.
    """
    try:
        draft = _draft(output / MODEL, world)
        engine.save_model(draft)
        if world.is_first:
            tokenizer.save_pretrained(draft)
            _write_generation_config(draft, tokenizer, template)
            _write_story(draft, read_metrics(output / METRICS), template, trained)
        adapter = _draft(output / ADAPTER, world)
        has_adapter = engine.save_adapter(adapter)
        if world.is_first:
            _put(draft, output / MODEL)
            if has_adapter:
                _put(adapter, output / ADAPTER)
    except OSError as error:
        raise TrainerError(
            f"The model could not be written to {output / MODEL}: {error}. The checkpoint is whole: make room and "
            "start again, and it is written."
        ) from error
    return output / MODEL


def read_model_info(folder: Path) -> ModelInfo | None:
    """`sedi.json` of a model's folder; None where there is none. Raises TrainerError when it cannot be read."""
    path = folder / TOLD
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelInfo)
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainerError(f"{path} cannot be read: {error}. Write the model again: `sedi train` goes on.") from error


def end_tokens(tokenizer: Any, template: Template) -> list[int]:
    """What ends an answer: the end-of-text token, and the mark that the template learned at the end of a response."""
    whole = encode(Instruction(instruction="Say so.", output="So."), tokenizer, template, 512).tokens
    mark = tokenizer.added_tokens_decoder.get(whole[-1])
    found = (tokenizer.eos_token_id, whole[-1] if mark is not None and mark.special else None)
    return list(dict.fromkeys(token for token in found if token is not None))


def _write_generation_config(folder: Path, tokenizer: Any, template: Template) -> None:
    from transformers import GenerationConfig

    there = (folder / "generation_config.json").is_file()
    config = GenerationConfig.from_pretrained(folder) if there else GenerationConfig()  # type: ignore[no-untyped-call]
    ends = end_tokens(tokenizer, template)
    config.eos_token_id = ends[0] if len(ends) == 1 else ends or None
    config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    config.save_pretrained(folder)


def _write_story(folder: Path, metrics: Metrics, template: Template, trained: TrainedModel) -> None:
    (folder / CURVES).write_text(curves(metrics), encoding="utf-8", newline="\n")
    (folder / CARD).write_text(card(trained, metrics), encoding="utf-8", newline="\n")
    told = ModelInfo(run=trained.run, template=template, steps=trained.steps)
    (folder / TOLD).write_bytes(msgspec.json.encode(told) + b"\n")


def _draft(target: Path, world: ProcessGroup) -> Path:
    """Where the folder is made; nothing is there."""
    draft = target.with_name(f".draft-{target.name}")
    if world.is_first:
        shutil.rmtree(draft, ignore_errors=True)
    return draft


def _put(draft: Path, target: Path) -> None:
    """Let the draft take the folder's place."""
    before = target.with_name(f".before-{target.name}")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    draft.rename(target)
    shutil.rmtree(before, ignore_errors=True)
