"""LoRA: only small adapters beside the model's linear layers are trained, by peft; the model itself stays as it is.

Checkpoints hold the adapters alone (and an output layer that is tied to the embedding: DeepSpeed finds only one of its
two names frozen). At the end there are two folders: the adapter, as peft loads it onto the same base model, and a model
with the adapter merged into it, which is loaded like any other. Merging is done on the weights as they are saved, in
fp32, and changes nothing in the model that is being trained.
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
    """rank: of each adapter; alpha: it is scaled by alpha / rank; targets: names of layers, None for all linear ones
    but the output layer."""

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: Sequence[str] | None = None


def adapted(trainee: Any, lora: Lora) -> Any:
    """The trainee with adapters that are trained, and all else frozen. Raises TrainerError for targets it cannot do."""
    import peft
    from peft.tuners.lora import LoraLayer

    told = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.targets is None else list(lora.targets),
    )
    try:
        model = peft.get_peft_model(trainee, told, autocast_adapter_dtype=False)
    except ValueError as error:
        raise TrainerError(
            f"The model cannot be given LoRA adapters: {error} Name layers of the model with --lora-targets, or leave "
            "it out to take all linear ones."
        ) from error
    other = [name for name, layer in model.named_modules() if isinstance(layer, LoraLayer) and not len(layer.lora_A)]
    if other:
        raise TrainerError(f"lora_targets takes in {other[0]!r}, which is not a linear layer. Name linear layers only.")
    return model


def is_adapted(model: Any) -> bool:
    """Whether `adapted` made it."""
    return hasattr(model, "peft_config")


def save_merged(model: Any, weights: Mapping[str, Any], folder: Path) -> None:
    """The model as transformers loads it, with the adapters, if it has any, merged; `weights` are all it has."""
    if is_adapted(model):
        weights = _merged(model, weights)
        model = model.get_base_model()
    model.config.use_cache = True
    model.save_pretrained(folder, state_dict=dict(weights))
    model.config.use_cache = False


def _merged(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The base model's weights by the names that it has without adapters."""
    layers = dict(model.named_modules())
    found: dict[str, Any] = {}
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
        found[name.removeprefix("base_model.model.").replace(_BASE, ".")] = weight
    return found
