"""A training step with DeepSpeed: a batch of tokens in, measured numbers out.

The gradient is accumulated over micro-batches (`gradient_accumulation`), its norm is taken before clipping, and one
that is not finite is discarded without an update. DeepSpeed's output goes to the log file. Knows nothing of the log and
of where rows come from.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.trainer.data.templates import EncodedRow
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine import deepspeed_setup, lora, memory
from consumers.trainer.engine.cpu import HeapTrimmer
from consumers.trainer.engine.gradient_accumulation import GradientAccumulator, first_line
from consumers.trainer.engine.loss import ResponseLoss
from consumers.trainer.engine.microbatches import MICRO_BATCH_COST
from consumers.trainer.engine.step_numbers import StepNumbers, exact_sum, finite, variance
from consumers.trainer.options import Device, Precision
from consumers.trainer.record.output_capture import capture_output
from schemas.errors import ConfigurationError, TrainerError

_RNG_STATES = "rng"
_SINGLE_RANK = ProcessGroup()


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


def pick_device(device: Device) -> str:
    """`cuda` or `cpu`. Raises ConfigurationError when CUDA is asked for and not available."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device is 'cuda', but torch finds no CUDA device. Take `cpu` or `auto`.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


class Engine:
    """A DeepSpeed engine around one model. One at a time in a process; `close` it.

    Every method but `close` is a collective: all ranks call it in the same order, with the same model. `say` is called
    when out-of-memory reduces the micro-batch. `heap` is trimmed after steps.
    """

    def __init__(
        self,
        model: Any,
        config: EngineConfig,
        *,
        group: ProcessGroup = _SINGLE_RANK,
        say: Callable[[str], None] = lambda line: None,
        heap: HeapTrimmer | None = None,
    ) -> None:
        with capture_output(config.log_file):
            deepspeed = deepspeed_setup.import_deepspeed(config.device)
            import torch

        self._torch = torch
        self._config = config
        self._group = group
        self._heap = heap
        if config.zero_stage == 0:
            model.float()
        if config.activation_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        loss = ResponseLoss(model, config.pad_token)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with capture_output(config.log_file):
            self._engine, *_ = deepspeed.initialize(
                model=model,
                optimizer=deepspeed_setup.optimizer(parameters, config.zero_stage, config.weight_decay, config.clip),
                config=deepspeed_setup.config(config.precision, config.zero_stage, config.clip, config.micro_batch),
            )
        self._device = self._engine.device
        self._accumulator = GradientAccumulator(
            self._engine,
            loss,
            group,
            zero_stage=config.zero_stage,
            micro_batch=config.micro_batch,
            micro_batch_cost=MICRO_BATCH_COST[config.device],
            padding_row=EncodedRow((config.pad_token, config.pad_token), 2, False),
            say=say,
        )

    def step(self, rows: Sequence[EncodedRow], learning_rate: float) -> StepNumbers:
        """Train one batch; `rows` are this rank's part. A batch without any response token changes nothing.

        Raises TrainerError when a single row does not fit into memory.
        """
        start = time.perf_counter()
        counts = [row.response for row in rows]
        tokens = sum(self._group.all_gather(sum(counts)))
        if not tokens:
            no_losses = (None,) * sum(self._group.all_gather(len(rows)))
            return StepNumbers(None, no_losses, None, None, 0, time.perf_counter() - start, False)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        sums, fed = self._accumulator.accumulate(rows, tokens)
        self._optimize()
        mine = (sums, counts, fed, sum(len(row.tokens) for row in rows), memory.peak_bytes(self._device))
        gathered = self._group.all_gather(mine)
        totals = [total for sums, *_ in gathered for total in sums]
        responses = [count for _, counts, *_ in gathered for count in counts]
        means = [total / count if count else None for total, count in zip(totals, responses, strict=True)]
        all_tokens, all_fed = sum(each[3] for each in gathered), sum(each[2] for each in gathered)
        updated = self._engine.was_step_applied()
        norm = self._engine.get_global_grad_norm()
        if self._heap is not None:
            self._heap.trim_if_grown()
        return StepNumbers(
            loss=finite(exact_sum(totals) / tokens),
            row_losses=tuple(None if mean is None else finite(mean) for mean in means),
            loss_variance=variance([mean for mean in means if mean is not None]),
            grad_norm=finite(float(norm)) if updated and norm is not None else None,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            updated=updated,
            all_tokens=all_tokens,
            padding=1.0 - all_tokens / all_fed,
            memory_bytes=max(each[4] for each in gathered),
        )

    def measure(self, rows: Sequence[EncodedRow]) -> tuple[float, int]:
        """The summed loss and the number of response tokens of this rank's rows; trains nothing."""
        self._engine.eval()
        try:
            losses = self._accumulator.losses(rows)
        finally:
            self._engine.train()
        return exact_sum(losses), sum(row.response for row in rows)

    def save(self, folder: Path, tag: str) -> None:
        """Write trained weights, optimizer states and every rank's random states under `folder/tag`."""
        states = {"cpu": self._torch.get_rng_state()}
        if self._device.type == "cuda":
            states["cuda"] = self._torch.cuda.get_rng_state(self._device)
        with capture_output(self._config.log_file):
            self._engine.save_checkpoint(
                str(folder),
                tag=tag,
                client_state={_RNG_STATES: self._group.all_gather(states)},
                save_latest=False,
                exclude_frozen_parameters=lora.has_adapters(self._engine.module),
            )

    def load(self, folder: Path, tag: str) -> None:
        """Load what `save` wrote. Raises TrainerError when it cannot be read or belongs to another model or setting."""
        try:
            with capture_output(self._config.log_file):
                found, client = self._engine.load_checkpoint(
                    str(folder), tag=tag, load_module_strict=not lora.has_adapters(self._engine.module)
                )
        except Exception as error:
            raise TrainerError(f"The checkpoint {folder / tag} cannot be loaded ({error}).") from error
        if found is None:
            raise TrainerError(f"The checkpoint {folder / tag} holds no DeepSpeed state.")
        if len(client[_RNG_STATES]) != self._group.size:
            raise TrainerError(
                f"The checkpoint {folder / tag} was made by {len(client[_RNG_STATES])} processes, this training has "
                f"{self._group.size}. Start as many."
            )
        states = client[_RNG_STATES][self._group.rank]
        self._torch.set_rng_state(states["cpu"].cpu())
        if self._device.type == "cuda" and "cuda" in states:
            self._torch.cuda.set_rng_state(states["cuda"].cpu(), self._device)

    def save_model(self, folder: Path) -> None:
        """Write the model as transformers loads it: safetensors and configuration, with adapters merged."""
        with capture_output(self._config.log_file):
            weights = self._all_weights()
            if self._group.is_first:
                lora.save_merged(self._engine.module, weights, folder)
        self._group.barrier()

    def save_adapter(self, folder: Path) -> bool:
        """Write the adapter as peft loads it. False, and nothing is written, when the model has none."""
        if not lora.has_adapters(self._engine.module):
            return False
        with capture_output(self._config.log_file):
            weights = self._all_weights()
            if self._group.is_first:
                self._engine.module.save_pretrained(folder, state_dict=weights)
        self._group.barrier()
        return True

    def close(self) -> None:
        """Free the engine's memory. The process group stays for a next engine."""
        self._engine.destroy()

    def _all_weights(self) -> dict[str, Any]:
        """All weights in the training's precision; at ZeRO stage 3 on the first rank only."""
        if self._config.zero_stage == 3:
            return self._engine._zero3_consolidated_16bit_state_dict() or {}
        dtype = self._torch.bfloat16 if self._config.precision == "bf16" else self._torch.float32
        return {name: weight.to(dtype) for name, weight in self._engine.module.state_dict().items()}

    def _optimize(self) -> None:
        try:
            self._engine.step()
        except (RuntimeError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            raise TrainerError(
                f"There is not enough memory for the optimizer's step ({first_line(error)}). The last checkpoint is "
                "good. Train fewer weights (--lora-rank), split them over more processes, or use a smaller model."
            ) from error
