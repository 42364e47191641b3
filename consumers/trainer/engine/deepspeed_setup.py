"""DeepSpeed as this trainer uses it: its configuration, its optimizer, and how to discard a partial gradient.

    stage  sharded over ranks                       fp32               bf16
    0      nothing                                  torch's AdamW      fp32 weights, passes under autocast
    1      optimizer states                         ZeRO               bf16 weights beside fp32 ones
    2      and gradients                            ZeRO               bf16 weights beside fp32 ones
    3      and weights                              ZeRO               bf16 weights beside fp32 ones

DeepSpeed's own gradient accumulation is off (`managed_gradient_accumulation`): `gradient_accumulation` scales the loss
and decides when a step ends, so batches may differ in size. Gradients are summed in fp32 at every stage.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.trainer.options import Precision


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How an engine trains; TrainOptions describes the fields.

    device      `cpu` or `cuda`
    pad_token   fills rows on the right
    log_file    takes what DeepSpeed prints
    """

    precision: Precision
    device: str
    zero_stage: int
    weight_decay: float
    clip: float | None
    micro_batch: int
    pad_token: int
    log_file: Path
    activation_checkpointing: bool = False


def import_deepspeed(device: str) -> Any:
    """DeepSpeed for `cpu` or `cuda`. The process group must exist already (`join_process_group`)."""
    os.environ.setdefault("DS_ACCELERATOR", device)
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    __compatible_ops__["deepspeed_shm_comm"] = False  # would be compiled for a minute
    return deepspeed


def deepspeed_config(config: EngineConfig) -> dict[str, Any]:
    """DeepSpeed's configuration. At stage 0 the optimizer clips instead."""
    stage = config.zero_stage
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": config.micro_batch,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": (config.clip or 0.0) if stage else 0.0,
        "zero_optimization": {"stage": stage, "overlap_comm": False, "stage3_gather_16bit_weights_on_model_save": True},
    }
    if config.precision == "bf16" and stage:
        settings["bf16"] = {"enabled": True}
        settings["data_types"] = {"grad_accum_dtype": "fp32"}
    elif config.precision == "bf16":
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
    return settings


def optimizer(parameters: list[Any], config: EngineConfig) -> Any:
    """AdamW. At stage 0 it also takes the gradient's norm, clips, and discards a gradient that is not finite;
    DeepSpeed does so only at the other stages."""
    import torch

    clip = config.clip
    if config.zero_stage:
        return torch.optim.AdamW(parameters, lr=0.0, weight_decay=config.weight_decay, fused=True)

    class NormedAdamW(torch.optim.AdamW):
        """DeepSpeed reads these two attributes of its own optimizers, so they have its names."""

        _global_grad_norm = 0.0
        overflow = False

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            self._global_grad_norm = float(norm)
            self.overflow = not bool(torch.isfinite(norm))
            if self.overflow:
                return None
            if clip is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, clip, norm)
            return super().step(closure)

    return NormedAdamW(parameters, lr=0.0, weight_decay=config.weight_decay, fused=True)


def discard_gradient(engine: Any) -> None:
    """Discard the gradient accumulated since the last step, after a micro-batch that failed, at stages 0 to 2.

    DeepSpeed has no call for this, so its state is reset to what it is after a finished step.
    """
    engine.zero_grad()
    engine._unmanaged_backward_count = 0
    optimizer = engine.optimizer
    if hasattr(optimizer, "clear_hp_grads"):  # stage 1 in bf16
        optimizer.clear_hp_grads()
    if hasattr(optimizer, "params_already_reduced"):  # stage 1 in fp32, stage 2
        optimizer.zero_grad(set_to_none=True)
        optimizer.params_already_reduced = [False] * len(optimizer.params_already_reduced)
        optimizer.extra_large_param_to_reduce.clear()
        for bucket in optimizer.ipg_buckets.values():
            bucket.clear()
        optimizer._release_ipg_buffers()
        for held in (optimizer.averaged_gradients, optimizer.all_grad_tensors):
            held.update(dict.fromkeys(held))
    if hasattr(optimizer, "_backward_hook_state"):
        optimizer._backward_hook_state.backward_active_depth = 0
        optimizer._backward_hook_state.reset_for_new_step()
