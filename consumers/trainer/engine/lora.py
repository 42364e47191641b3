"""LoRA by peft: small adapters beside the model's linear layers are trained, and all other weights are frozen.

Checkpoints hold the adapters alone (and an output layer tied to the embedding, since DeepSpeed sees only one of its two
names as frozen). A finished training writes two folders: the adapter, as peft loads it onto the base model, and the
model with the adapter merged, which loads like any other. Merging works in fp32 on the weights that are saved, not on
the model being trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import TrainerError

_NAME = "default"  # peft's own name for a model's only adapter
_BASE, _DOWN, _UP = ".base_layer.", f".lora_A.{_NAME}.weight", f".lora_B.{_NAME}.weight"


@dataclass(frozen=True)
class Lora:
    """Adapters of a rank, scaled by alpha / rank. targets: names of layers; None: all linear ones but the output."""

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: Sequence[str] | None = None


def with_adapters(base: Any, lora: Lora) -> Any:
    """The model with adapters to train and its own weights frozen. Raises TrainerError for unsuitable targets."""
    import peft
    from peft.tuners.lora import LoraLayer

    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.targets is None else list(lora.targets),
    )
    try:
        model = peft.get_peft_model(base, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise TrainerError(
            f"The model cannot be given LoRA adapters: {error} Name layers of the model with --lora-targets, or leave "
            "it out to take all linear ones."
        ) from error
    other = [name for name, layer in model.named_modules() if isinstance(layer, LoraLayer) and not len(layer.lora_A)]
    if other:
        raise TrainerError(f"lora_targets includes {other[0]!r}, which is not a linear layer. Name linear layers only.")
    return model


def has_adapters(model: Any) -> bool:
    """Whether the model comes from `with_adapters`."""
    return hasattr(model, "peft_config")


def save_merged(model: Any, weights: Mapping[str, Any], folder: Path) -> None:
    """Write the model as transformers loads it, with any adapters merged. `weights` are all weights of the model."""
    if has_adapters(model):
        weights = _merged(model, weights)
        model = model.get_base_model()
    model.config.use_cache = True
    model.save_pretrained(folder, state_dict=dict(weights))
    model.config.use_cache = False


def _merged(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The base model's weights with the adapters added, by the names that they have without adapters."""
    layers = dict(model.named_modules())
    merged: dict[str, Any] = {}
    for name, saved in weights.items():
        if ".lora_" in name:
            continue
        weight = saved
        if _BASE in name and name.endswith(".weight"):
            layer, _ = name.split(_BASE)
            delta = weights[layer + _UP].float() @ weights[layer + _DOWN].float() * layers[layer].scaling[_NAME]
            if layers[layer].fan_in_fan_out:
                delta = delta.T
            weight = (saved.float() + delta).to(saved.dtype)
        merged[name.removeprefix("base_model.model.").replace(_BASE, ".")] = weight
    return merged
