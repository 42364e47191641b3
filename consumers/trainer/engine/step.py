"""A training step with DeepSpeed: tokens in, numbers out.

How it works. The gradient is that of the mean loss over the whole batch's response tokens, however the rows lie on
ranks and in passes: each pass's summed loss is divided by the batch's tokens, and DeepSpeed is told not to scale but
for its mean over the ranks, which is undone here. All ranks make the same number of passes (the stages that share
gradients or weights talk in each), a rank that has fewer makes up for it with passes of no weight. The norm is taken of
the whole gradient, before clipping. A gradient that is not finite is thrown away with its update.

Memory that does not suffice: the batch begins again with half as many rows in a pass, and so do later ones. Where ranks
talk inside a pass (stages 2 and 3 with several of them, and 3 always) that cannot be undone and is a TrainerError.

What DeepSpeed says goes to `log_file`. Does not know: the log, batches, or where rows come from.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.trainer.data.templates import EncodedRow
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine import deepspeed_setup as zero
from consumers.trainer.engine import lora, memory
from consumers.trainer.engine.cpu import KeptHeap
from consumers.trainer.engine.loss import ResponseLoss
from consumers.trainer.engine.microbatches import PASS_COST, MicroBatch, cut
from consumers.trainer.options import Device, Precision
from consumers.trainer.record.output_capture import capture_output
from schemas.errors import ConfigurationError, TrainerError

_SAVED_RNG = "rng"
_ALONE = ProcessGroup()


@dataclass(frozen=True)
class StepNumbers:
    """What a step measured, of the whole batch and the same on every rank; None where it is not a finite number.

    loss            mean over the batch's response tokens
    row_losses      mean over each row's response tokens, by rank and slot; None for a row that has none
    loss_variance   population variance of the row losses
    grad_norm       L2 norm of the whole gradient before clipping
    tokens          response tokens; `all_tokens` prompts too
    padding         share of padding in what the model was fed
    memory_bytes    the most that any rank has held on its device (on the CPU: resident) since it began
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


def pick_device(device: Device) -> str:
    """`cuda` or `cpu`; raises ConfigurationError for a CUDA device that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device is 'cuda', but torch finds no CUDA device. Take `cpu` or `auto`.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


class Engine:
    """A DeepSpeed engine around one model. One at a time in a process; `close` it.

    Every rank makes one with the same model and calls `step`, `measure`, `save`, `load` and `save_model` together.
    `say` is told when less memory has to do.
    """

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
        world: ProcessGroup = _ALONE,
        activation_checkpointing: bool = False,
        say: Callable[[str], None] = lambda line: None,
        heap: KeptHeap | None = None,
    ) -> None:
        with capture_output(log_file):
            deepspeed = zero.imported(device)
            import torch

        self._log_file = log_file
        self._torch = torch
        self._world = world
        self._stage = zero_stage
        self._micro_batch = micro_batch
        self._pass_cost = PASS_COST[device]
        self._blank = EncodedRow((pad_token, pad_token), 2, False)
        self._say = say
        self._heap = heap
        if zero_stage == 0:
            trainee.float()
        if activation_checkpointing:
            trainee.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._loss = ResponseLoss(trainee, pad_token)
        parameters = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
        with capture_output(log_file):
            self._engine, *_ = deepspeed.initialize(
                model=trainee,
                optimizer=zero.optimizer(parameters, zero_stage, weight_decay, clip),
                config=zero.config(precision, zero_stage, clip, micro_batch),
            )
        self._device = self._engine.device
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def step(self, rows: Sequence[EncodedRow], learning_rate: float) -> StepNumbers:
        """Train one batch, of which `rows` are this rank's. A batch without any response token changes nothing.

        Raises TrainerError when memory does not suffice for a single row.
        """
        start = time.perf_counter()
        counts = [row.response for row in rows]
        tokens = sum(self._world.all_gather(sum(counts)))
        if not tokens:
            nothing = (None,) * sum(self._world.all_gather(len(rows)))
            return StepNumbers(None, nothing, None, None, 0, time.perf_counter() - start, False)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        sums, fed = self._gradient(rows, tokens)
        self._optimize()
        mine = (sums, counts, fed, sum(len(row.tokens) for row in rows), memory.peak_bytes(self._device))
        gathered = self._world.all_gather(mine)
        totals = [total for sums, *_ in gathered for total in sums]
        responses = [count for _, counts, *_ in gathered for count in counts]
        means = [total / count if count else None for total, count in zip(totals, responses, strict=True)]
        all_tokens, all_fed = sum(each[3] for each in gathered), sum(each[2] for each in gathered)
        updated = self._engine.was_step_applied()
        norm = self._engine.get_global_grad_norm()
        if self._heap is not None:
            self._heap.step_ended()
        return StepNumbers(
            loss=_finite(_sum(totals) / tokens),
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
        """The summed loss and the number of the response tokens of these rows, as the model is now; trains nothing.

        Every rank calls it at the same time; the numbers are of its own rows.
        """
        self._engine.eval()
        try:
            with self._torch.no_grad():
                passes = self._passes(rows)
                sums = [self._loss(self._engine, _picked(rows, each, self._blank), self._device) for each in passes]
        finally:
            self._engine.train()
        return _sum(self._torch.cat(sums).tolist()), sum(row.response for row in rows)

    def save(self, folder: Path, tag: str) -> None:
        """Model (what is trained of it), optimizer, and every rank's random states, under `folder/tag`."""
        states = {"cpu": self._torch.get_rng_state()}
        if self._device.type == "cuda":
            states["cuda"] = self._torch.cuda.get_rng_state(self._device)
        with capture_output(self._log_file):
            self._engine.save_checkpoint(
                str(folder),
                tag=tag,
                client_state={_SAVED_RNG: self._world.all_gather(states)},
                save_latest=False,
                exclude_frozen_parameters=lora.is_adapted(self._engine.module),
            )

    def load(self, folder: Path, tag: str) -> None:
        """What `save` saved. Raises TrainerError when it cannot be read or is of another model or setting."""
        try:
            with capture_output(self._log_file):
                found, client = self._engine.load_checkpoint(
                    str(folder), tag=tag, load_module_strict=not lora.is_adapted(self._engine.module)
                )
        except Exception as error:
            raise TrainerError(f"The checkpoint {folder / tag} cannot be loaded ({error}).") from error
        if found is None:
            raise TrainerError(f"The checkpoint {folder / tag} holds no DeepSpeed state.")
        if len(client[_SAVED_RNG]) != self._world.size:
            raise TrainerError(
                f"The checkpoint {folder / tag} was made by {len(client[_SAVED_RNG])} processes, this training has "
                f"{self._world.size}. Start as many."
            )
        states = client[_SAVED_RNG][self._world.rank]
        self._torch.set_rng_state(states["cpu"].cpu())
        if self._device.type == "cuda" and "cuda" in states:
            self._torch.cuda.set_rng_state(states["cuda"].cpu(), self._device)

    def save_model(self, folder: Path) -> None:
        """The model as transformers loads it: safetensors and configuration; adapters are merged into it."""
        with capture_output(self._log_file):
            whole = self._whole()
            if self._world.is_first:
                lora.save_merged(self._engine.module, whole, folder)
        self._world.barrier()

    def save_adapter(self, folder: Path) -> bool:
        """The adapter alone, as peft loads it; False, and nothing is written, where there is none."""
        if not lora.is_adapted(self._engine.module):
            return False
        with capture_output(self._log_file):
            whole = self._whole()
            if self._world.is_first:
                self._engine.module.save_pretrained(folder, state_dict=whole)
        self._world.barrier()
        return True

    def close(self) -> None:
        """Give the engine's memory back; the process group stays for a next engine."""
        self._engine.destroy()

    def _whole(self) -> dict[str, Any]:
        """All weights in the training's precision; on the first rank only at stage 3."""
        if self._stage == 3:
            return self._engine._zero3_consolidated_16bit_state_dict() or {}
        return {name: weight.to(self._dtype) for name, weight in self._engine.module.state_dict().items()}

    def _passes(self, rows: Sequence[EncodedRow]) -> list[MicroBatch]:
        """This rank's passes, as many as any rank's: the last ones have no row."""
        passes = cut([len(row.tokens) for row in rows], self._micro_batch, self._pass_cost)
        most = max(self._world.all_gather(len(passes)))
        return passes + [MicroBatch((), len(self._blank.tokens))] * (most - len(passes))

    def _gradient(self, rows: Sequence[EncodedRow], tokens: int) -> tuple[list[float], int]:
        """Add up the gradient of the batch; summed loss of each of this rank's rows, and how many tokens were fed."""
        while True:
            passes = self._passes(rows)
            failed: Exception | None = None
            found: list[Any] = []
            try:
                for each in passes:
                    row_sums = self._loss(self._engine, _picked(rows, each, self._blank), self._device)
                    self._engine.backward(row_sums.sum() * self._world.size / tokens, scale_wrt_gas=False)
                    found.append(row_sums.detach()[: len(each.rows)])
            except (RuntimeError, MemoryError) as error:
                if not memory.is_exhausted(error):
                    raise
                self._undoable(error)
                failed = error.with_traceback(None)  # its frames hold what is to be freed
            if not any(self._world.all_gather(failed is not None)):
                break
            self._halve(failed)
        sums = [0.0] * len(rows)
        order = [row for each in passes for row in each.rows]
        for row, total in zip(order, self._torch.cat(found).tolist(), strict=True):
            sums[row] = total
        return sums, sum(max(each.fed, each.width) for each in passes)

    def _optimize(self) -> None:
        try:
            self._engine.step()
        except (RuntimeError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            raise TrainerError(
                f"There is not enough memory for the optimizer's step ({_first_line(error)}). The last checkpoint is "
                "good. Train fewer weights (--lora-rank), split them over more processes, or use a smaller model."
            ) from error

    def _undoable(self, error: Exception) -> None:
        if self._stage == 3 or (self._stage == 2 and self._world.size > 1):
            raise TrainerError(
                f"There is not enough memory for {self._micro_batch} rows in a pass ({_first_line(error)}), and ZeRO "
                f"stage {self._stage} cannot begin the batch again. The last checkpoint is good. Start again with a "
                "smaller --micro-batch, or with --activation-checkpointing."
            ) from error

    def _halve(self, failed: Exception | None) -> None:
        if self._micro_batch == 1:
            reason = _first_line(failed) if failed is not None else "on another rank"
            raise TrainerError(
                f"There is not enough memory for a single row ({reason}). The last checkpoint is good. Start again "
                "with a smaller --max-length, with --activation-checkpointing, with --lora-rank, or with a smaller "
                "model."
            ) from failed
        zero.forget_gradient(self._engine)
        memory.give_back(self._device)
        self._micro_batch //= 2
        self._say(
            f"There was not enough memory: the batch begins again with at most {self._micro_batch} rows in a pass, and "
            f"so do those after it. --micro-batch {self._micro_batch} says so from the beginning."
        )


def _picked(rows: Sequence[EncodedRow], each: MicroBatch, blank: EncodedRow) -> list[EncodedRow]:
    return [rows[index] for index in each.rows] or [blank]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _sum(numbers: Sequence[float]) -> float:
    """Rounded once, so it does not depend on the order; nan as soon as one is not finite."""
    return math.fsum(numbers) if all(map(math.isfinite, numbers)) else math.nan


def _variance(numbers: Sequence[float]) -> float | None:
    if not numbers or not all(map(math.isfinite, numbers)):
        return None
    mean = math.fsum(numbers) / len(numbers)
    return _finite(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
