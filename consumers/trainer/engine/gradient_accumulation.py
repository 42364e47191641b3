"""A batch's gradient, accumulated over micro-batches.

The gradient is that of the mean loss over all response tokens of the batch, however its rows lie on ranks and in
micro-batches: each micro-batch's summed loss is divided by the tokens of the whole batch. DeepSpeed does not scale but
for its mean over the ranks, which is undone here. All ranks run equally many micro-batches, since some ZeRO stages have
collectives in each; a rank with fewer adds micro-batches without weight.

On out-of-memory, retry with half the micro-batch, and keep that size. Where a micro-batch has collectives (ZeRO stage 2
with several ranks, and stage 3) a broken one cannot be undone, and TrainerError is raised.
"""

from collections.abc import Callable, Sequence
from typing import Any

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.deepspeed_setup import EngineConfig, discard_gradient
from consumers.trainer.engine.loss import ResponseLoss
from consumers.trainer.engine.microbatches import MICRO_BATCH_COST, MicroBatch, split
from infra.models import memory
from infra.models.templates import EncodedRow
from infra.visible import first_line
from schemas.errors import TrainerError


class GradientAccumulator:
    """Runs a rank's rows through a DeepSpeed engine in micro-batches."""

    def __init__(
        self, engine: Any, loss: ResponseLoss, config: EngineConfig, group: ProcessGroup, say: Callable[[str], None]
    ) -> None:
        import torch

        self._torch = torch
        self._engine = engine
        self._loss = loss
        self._group = group
        self._say = say
        self._zero_stage = config.zero_stage
        self._micro_batch = config.micro_batch
        self._cost = MICRO_BATCH_COST[config.device]
        self._padding_row = EncodedRow((config.pad_token, config.pad_token), 2, False)

    def accumulate(self, rows: Sequence[EncodedRow], tokens: int) -> tuple[list[float], int]:
        """Add up the gradient of a batch with so many response tokens (all ranks).

        Returns the summed loss of each of this rank's rows, and how many tokens the model was fed. Raises TrainerError
        when a single row does not fit into memory.
        """
        while True:
            micro_batches = self._split(rows)
            error: Exception | None = None
            losses: list[Any] = []
            try:
                for each in micro_batches:
                    row_sums = self._row_sums(rows, each)
                    self._engine.backward(row_sums.sum() * self._group.size / tokens, scale_wrt_gas=False)
                    losses.append(row_sums.detach()[: len(each.rows)])
            except (RuntimeError, MemoryError) as caught:
                if not memory.is_exhausted(caught):
                    raise
                self._check_retry(caught)
                error = caught.with_traceback(None)  # its frames hold memory that is to be freed
            if not any(self._group.all_gather(error is not None)):
                break
            self._halve(error)
        sums = [0.0] * len(rows)
        order = [row for each in micro_batches for row in each.rows]
        for row, total in zip(order, self._torch.cat(losses).tolist(), strict=True):
            sums[row] = total
        return sums, sum(max(each.fed, each.width) for each in micro_batches)

    def losses(self, rows: Sequence[EncodedRow]) -> list[float]:
        """The summed losses of this rank's rows without a gradient, in any order (all ranks)."""
        with self._torch.no_grad():
            sums = [self._row_sums(rows, each) for each in self._split(rows)]
        return list(self._torch.cat(sums).tolist())

    def _split(self, rows: Sequence[EncodedRow]) -> list[MicroBatch]:
        """This rank's micro-batches, as many as any rank has; the last ones have no row."""
        micro_batches = split([len(row.tokens) for row in rows], self._micro_batch, self._cost)
        most = max(self._group.all_gather(len(micro_batches)))
        empty = MicroBatch((), len(self._padding_row.tokens))
        return micro_batches + [empty] * (most - len(micro_batches))

    def _row_sums(self, rows: Sequence[EncodedRow], micro_batch: MicroBatch) -> Any:
        selected = [rows[index] for index in micro_batch.rows] or [self._padding_row]
        return self._loss(self._engine, selected, self._engine.device)

    def _check_retry(self, error: Exception) -> None:
        if self._zero_stage == 3 or (self._zero_stage == 2 and self._group.size > 1):
            raise TrainerError(
                f"There is not enough memory for a micro-batch of {self._micro_batch} rows ({first_line(error)}), and "
                f"ZeRO stage {self._zero_stage} cannot retry the batch. The last checkpoint is good. Start again with "
                "a smaller --micro-batch, or with --activation-checkpointing."
            ) from error

    def _halve(self, error: Exception | None) -> None:
        if self._micro_batch == 1:
            reason = first_line(error) if error is not None else "on another rank"
            raise TrainerError(
                f"There is not enough memory for a single row ({reason}). The last checkpoint is good. Start again "
                "with a smaller --max-length, with --activation-checkpointing, with --lora-rank, or with a smaller "
                "model."
            ) from error
        discard_gradient(self._engine)
        self._torch.cuda.empty_cache()  # does nothing on the CPU
        self._micro_batch //= 2
        self._say(
            f"Out of memory: retrying with micro-batches of at most {self._micro_batch} rows, for later batches too. "
            f"Start with --micro-batch {self._micro_batch} to save the retry."
        )
