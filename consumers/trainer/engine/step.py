"""A training step with DeepSpeed: a batch of tokens in, measured numbers out.

The gradient is accumulated over micro-batches (`gradient_accumulation`), its norm is taken before clipping, and one
that is not finite is discarded without an update. DeepSpeed's output goes to the log file. Knows nothing of the log and
of where rows come from.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine import deepspeed_setup, lora
from consumers.trainer.engine.deepspeed_setup import EngineConfig
from consumers.trainer.engine.gradient_accumulation import GradientAccumulator
from consumers.trainer.engine.loss import ResponseLoss
from consumers.trainer.record.output_capture import capture_output
from infra.models import memory
from infra.models.cpu import HeapTrimmer
from infra.models.templates import EncodedRow
from infra.visible import first_line
from schemas.errors import TrainerError

_RNG_STATES = "rng"
_SINGLE_RANK = ProcessGroup()


@dataclass(frozen=True)
class StepNumbers:
    """Numbers of a step over the whole batch, the same on every rank; None for one that is not finite.

    loss            mean over the batch's response tokens
    row_losses      mean over each row's response tokens, by rank and slot; None for a row without any
    loss_variance   population variance of the row losses
    grad_norm       L2 norm of the whole gradient before clipping
    tokens          response tokens; `all_tokens` with the prompts
    padding         share of padding in the model's input
    memory_bytes    peak of any rank's device memory (on the CPU: resident memory) since it began
    updated         whether the weights were changed
    """

    loss: float | None
    row_losses: tuple[float | None, ...]
    loss_variance: float | None
    grad_norm: float | None
    tokens: int
    seconds: float
    updated: bool
    all_tokens: int = 0
    padding: float = 0.0
    memory_bytes: int = 0


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
                optimizer=deepspeed_setup.optimizer(parameters, config),
                config=deepspeed_setup.deepspeed_config(config),
            )
        self._device = self._engine.device
        self._accumulator = GradientAccumulator(self._engine, loss, config, group, say)

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
            loss=_finite(_exact_sum(totals) / tokens),
            row_losses=tuple(None if mean is None else _finite(mean) for mean in means),
            loss_variance=_variance([mean for mean in means if mean is not None]),
            grad_norm=_finite(float(norm)) if updated and norm is not None else None,
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
        return _exact_sum(losses), sum(row.response for row in rows)

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
        self._write(lambda weights: lora.save_merged(self._engine.module, weights, folder))

    def save_adapter(self, folder: Path) -> bool:
        """Write the adapter as peft loads it. False, and nothing is written, when the model has none."""
        if not lora.has_adapters(self._engine.module):
            return False
        self._write(lambda weights: self._engine.module.save_pretrained(folder, state_dict=weights))
        return True

    def close(self) -> None:
        """Free the engine's memory. The process group stays for a next engine."""
        self._engine.destroy()

    def _write(self, write: Callable[[dict[str, Any]], None]) -> None:
        with capture_output(self._config.log_file):
            weights = self._all_weights()
            if self._group.is_first:
                write(weights)
        self._group.barrier()

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


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _exact_sum(numbers: Sequence[float]) -> float:
    """Rounded once, so that it does not depend on the order; nan when any number is not finite."""
    return math.fsum(numbers) if all(map(math.isfinite, numbers)) else math.nan


def _variance(numbers: Sequence[float]) -> float | None:
    if not numbers or not all(map(math.isfinite, numbers)):
        return None
    mean = math.fsum(numbers) / len(numbers)
    return _finite(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
