"""Loads a causal LM and its tokenizer from a folder or by a hub name, whole or only its first layers.

Whatever cannot be loaded is a TrainerError that says what to give instead. A name that looks like a path is never
looked up on a hub. Weights are read from safetensors only.
"""

from pathlib import Path
from typing import Any

from infra.models.precision import Precision
from infra.models.weights import SAFE
from infra.visible import first_line
from schemas.errors import TrainerError


def model_name(model: str, layers: int | None, lora_rank: int | None = None) -> str:
    """The model's name on the training log: the folder's or hub's, the layers that are kept, and the LoRA rank."""
    name = Path(model).name if _is_path(model) else model
    return name + ("" if layers is None else f"[:{layers}]") + ("" if lora_rank is None else f"+lora{lora_rank}")


def load_tokenizer(model: str) -> Any:
    """The model's tokenizer. Raises TrainerError when it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(_source(model), trust_remote_code=False)
    except Exception as error:  # transformers, tokenizers and safetensors raise errors of many kinds
        raise _unusable(model, "tokenizer", error) from error


def load_model(name: str, precision: Precision, layers: int | None) -> Any:
    """The model on the CPU in training mode; `layers`: only the first so many. Raises TrainerError."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    try:
        model = AutoModelForCausalLM.from_pretrained(_source(name), dtype=dtype, **SAFE)
    except Exception as error:
        raise _unusable(name, "model", error) from error
    model.config.use_cache = False
    if layers is not None:
        keep_first_layers(model, layers)
    return model.train()


def keep_first_layers(model: Any, layers: int) -> None:
    """Drop all decoder layers but the first `layers`, in the model and in its configuration, so that it saves and
    loads as a smaller model of the same kind. It must be trained before its answers make sense."""
    decoder = model.get_decoder()
    config = model.config.get_text_config()
    found = getattr(decoder, "layers", None)
    if found is None or len(found) != config.num_hidden_layers:
        raise TrainerError(f"layers cannot be used with a {type(model).__name__}: its layers are not a plain list.")
    if layers > len(found):
        raise TrainerError(f"layers is {layers}, but the model has only {len(found)}. Give fewer, or leave it out.")
    decoder.layers = found[:layers]
    if getattr(config, "layer_types", None):
        config.layer_types = list(config.layer_types[:layers])
    config.num_hidden_layers = layers


def _is_path(model: str) -> bool:
    return Path(model).exists() or model.startswith((".", "/", "~")) or model.count("/") > 1


def _source(model: str) -> str:
    path = Path(model).expanduser()
    if not _is_path(model):
        return model
    if not path.is_dir():
        raise TrainerError(
            f"There is no model folder {path}. Give a folder with config.json, weights and tokenizer, or a hub name."
        )
    if not (path / "config.json").is_file():
        raise TrainerError(f"The folder {path} is no model: it has no config.json. Give one that transformers saved.")
    return str(path)


def _unusable(model: str, what: str, error: Exception) -> TrainerError:
    return TrainerError(
        f"The {what} of {model!r} cannot be loaded: {first_line(error)} Give a folder that transformers can "
        "load as a causal LM."
    )
