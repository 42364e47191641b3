"""A training step with DeepSpeed: tokens in, numbers out.

How it works. The gradient is that of the mean loss over the batch's response tokens, however the rows are cut into
micro-batches: each micro-batch's summed loss is divided by the batch's tokens, and DeepSpeed is told not to scale
(`managed_gradient_accumulation` off: a step ends when we call it, so batches may differ in size). bf16 gradients are
summed in fp32. The norm is DeepSpeed's own, taken before clipping. A gradient that is not finite is thrown away by
DeepSpeed with the update; it is reported as None.

One process for now. The process group is made here from a store in memory, so no port is opened.

What DeepSpeed says goes to `log_file`. Does not know: the log, batches, or where rows come from.
"""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.trainer.options import Device, Precision
from consumers.trainer.quiet import talk_to
from consumers.trainer.templates import Encoded
from consumers.trainer.trainee import keeps_logits
from schemas.errors import ConfigurationError, TrainerError

_IGNORED = -100
_SAVED_RNG = "rng"


@dataclass(frozen=True)
class StepNumbers:
    """What a step measured; None where it is not a finite number.

    loss            mean over the batch's response tokens
    row_losses      mean over each row's response tokens, None for a row that has none
    loss_variance   population variance of the row losses
    grad_norm       L2 norm of the whole gradient before clipping
    updated         whether the weights were changed
    """

    loss: float | None
    row_losses: tuple[float | None, ...]
    loss_variance: float | None
    grad_norm: float | None
    tokens: int
    seconds: float
    updated: bool


def pick_device(device: Device) -> str:
    """`cuda` or `cpu`; raises ConfigurationError for a CUDA device that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device is 'cuda', but torch finds no CUDA device. Take `cpu` or `auto`.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


class Engine:
    """A DeepSpeed engine around one model. One at a time in a process; `close` it."""

    def __init__(
        self,
        trainee: Any,
        *,
        precision: Precision,
        device: str,
        zero_stage: int,
        weight_decay: float,
        clip: float | None,
        micro_batch: int,
        pad_token: int,
        log_file: Path,
    ) -> None:
        with talk_to(log_file):
            deepspeed = _import_deepspeed(device)
            import torch

        self._log_file = log_file
        self._torch = torch
        self._micro_batch = micro_batch
        self._pad_token = pad_token
        self._keeps_logits = keeps_logits(trainee)
        optimizer = torch.optim.AdamW(trainee.parameters(), lr=0.0, weight_decay=weight_decay, fused=True)
        with talk_to(log_file):
            self._engine, *_ = deepspeed.initialize(
                model=trainee, optimizer=optimizer, config=_config(precision, zero_stage, clip, micro_batch)
            )
        self._device = self._engine.device

    def step(self, rows: Sequence[Encoded], learning_rate: float) -> StepNumbers:
        """Train one batch. A batch without any response token changes nothing."""
        start = time.perf_counter()
        tokens = sum(row.response for row in rows)
        if not tokens:
            return StepNumbers(None, (None,) * len(rows), None, None, 0, time.perf_counter() - start, False)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        sums: list[float] = []
        for first in range(0, len(rows), self._micro_batch):
            row_sums = self._row_sums(rows[first : first + self._micro_batch])
            self._engine.backward(row_sums.sum() / tokens, scale_wrt_gas=False)
            sums.extend(row_sums.detach().tolist())
        self._engine.step()
        means = [total / row.response if row.response else None for total, row in zip(sums, rows, strict=True)]
        updated = self._engine.was_step_applied()
        norm = self._engine.get_global_grad_norm()
        return StepNumbers(
            loss=_finite(sum(sums) / tokens),
            row_losses=tuple(None if mean is None else _finite(mean) for mean in means),
            loss_variance=_variance([mean for mean in means if mean is not None]),
            grad_norm=_finite(float(norm)) if updated and norm is not None else None,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            updated=updated,
        )

    def save(self, folder: Path, tag: str) -> None:
        """Model, optimizer and random states, under `folder/tag`."""
        states = {"cpu": self._torch.get_rng_state()}
        if self._device.type == "cuda":
            states["cuda"] = self._torch.cuda.get_rng_state(self._device)
        with talk_to(self._log_file):
            self._engine.save_checkpoint(str(folder), tag=tag, client_state={_SAVED_RNG: states}, save_latest=False)

    def load(self, folder: Path, tag: str) -> None:
        """What `save` saved. Raises TrainerError when it cannot be read or is of another model or setting."""
        try:
            with talk_to(self._log_file):
                found, client = self._engine.load_checkpoint(str(folder), tag=tag)
        except Exception as error:
            raise TrainerError(f"The checkpoint {folder / tag} cannot be loaded ({error}).") from error
        if found is None:
            raise TrainerError(f"The checkpoint {folder / tag} holds no DeepSpeed state.")
        states = client[_SAVED_RNG]
        self._torch.set_rng_state(states["cpu"].cpu())
        if self._device.type == "cuda" and "cuda" in states:
            self._torch.cuda.set_rng_state(states["cuda"].cpu(), self._device)

    def save_model(self, folder: Path) -> None:
        """The model as transformers loads it: safetensors and configuration."""
        model, whole = self._engine.module, None
        model.config.use_cache = True
        with talk_to(self._log_file):
            if self._engine.zero_optimization_stage() == 3:
                whole = self._engine._zero3_consolidated_16bit_state_dict()
            model.save_pretrained(folder, state_dict=whole)
        model.config.use_cache = False

    def close(self) -> None:
        """Give the engine's memory back; the process group stays for a next engine."""
        self._engine.destroy()

    def _row_sums(self, rows: Sequence[Encoded]) -> Any:
        """Summed response loss of each row, [rows], fp32; logits are made only where a response is."""
        torch = self._torch
        width = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), width), self._pad_token, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        labels = torch.full((len(rows), width), _IGNORED, dtype=torch.long)
        for index, row in enumerate(rows):
            length = len(row.tokens)
            ids[index, :length] = torch.tensor(row.tokens)
            mask[index, :length] = 1
            labels[index, row.prompt : length] = ids[index, row.prompt : length]
        first = max(0, min(row.prompt for row in rows) - 1)  # the position that predicts the first response token
        extra = {"logits_to_keep": width - first} if self._keeps_logits else {}
        device = self._device
        logits = self._engine(input_ids=ids.to(device), attention_mask=mask.to(device), **extra).logits
        if not self._keeps_logits:
            logits = logits[:, first:]
        targets = labels[:, first + 1 :].to(device)
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]).float(),
            targets.reshape(-1),
            ignore_index=_IGNORED,
            reduction="none",
        )
        return losses.view(targets.shape).sum(dim=1)


def _config(precision: Precision, zero_stage: int, clip: float | None, micro_batch: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": clip or 0.0,
        "zero_optimization": {
            "stage": zero_stage,
            "overlap_comm": False,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
    }
    if precision == "bf16":
        config["bf16"] = {"enabled": True}
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config


def _import_deepspeed(device: str) -> Any:
    """DeepSpeed with a process group of one; it reads these variables when it is imported and initialised."""
    os.environ.setdefault("DS_ACCELERATOR", device)
    os.environ.setdefault("LOCAL_RANK", "0")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import deepspeed
    import torch.distributed as dist
    from deepspeed.ops import __compatible_ops__

    __compatible_ops__["deepspeed_shm_comm"] = False  # would be compiled for a minute, for ranks we do not have
    if not dist.is_initialized():
        backend = "nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    return deepspeed


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _variance(numbers: Sequence[float]) -> float | None:
    if not numbers or not all(map(math.isfinite, numbers)):
        return None
    mean = math.fsum(numbers) / len(numbers)
    return _finite(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
