"""Log-likelihoods of continuations under a causal language model, directly with torch.

Rows are trees of segments (`packing`), the longest first, batched to a number of tokens and padded on the right. Only
the positions that predict a token of a continuation reach the output layer, and the normalisation is in fp32 whatever
the model's precision. Where a model does not compute a row of several segments as it computes them alone (tried once,
when it is loaded), or attends to a window only, each choice is a row of its own.

In fp32 on a CPU the values equal those of lm-evaluation-harness within 1e-3, and do not depend on the batches beyond
1e-4. On out-of-memory a batch is halved.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.models import cpu, memory
from infra.models.device import Device, pick_device
from infra.models.likelihood.encoded import EncodedQuestion, context_length
from infra.models.likelihood.packing import PackedRow, batches, pack
from infra.models.loading import load_model, load_tokenizer
from infra.models.precision import Precision, choose
from schemas.errors import TrainerError

BATCH_TOKENS = {"cpu": 512, "cuda": 32768}
"""Tokens computed at once, with padding, by device. On a CPU more only add padding."""

_TRIAL = EncodedQuestion(tuple(range(5, 25)), ((7, 9, 11), (13, 6), (8,)))
CLOSE = {"fp32": 1e-3, "bf16": 0.2, "fp16": 0.05}
"""By how many nats three tokens may differ when they are computed in another composition."""


class LikelihoodEngine:
    """A loaded model. One thread at a time.

    device       `cpu` or `cuda`
    precision    what it computes in
    max_length   of an input, in tokens
    shares       whether common prefixes are computed once
    cut          questions so far that were cut to `max_length`
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: Device = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        """Load the model of a folder; `precision` None: what this machine is fastest in (`infra.models.precision`).

        threads   of torch on the CPU; None: half of the cores. More than are free make it many times slower
        Raises TrainerError when the model cannot be loaded.
        """
        cpu.passive_threads()
        import os

        import torch

        self.device = pick_device(device)
        if self.device == "cpu":
            torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // 2))
        self.precision: Precision = precision or choose(self.device, training=False).precision
        self.tokenizer = load_tokenizer(str(folder))
        self.model = load_model(str(folder), self.precision, None).eval().to(self.device)
        self.max_length = context_length(self.model.config, self.tokenizer)
        self.cut = 0
        self._batch_tokens = batch_tokens or BATCH_TOKENS[self.device]
        self._head = self.model.get_output_embeddings()
        self.shares = not _has_windows(self.model.config) and self._agrees()

    def measure(self, questions: Sequence[EncodedQuestion]) -> Iterator[dict[int, tuple[float, ...]]]:
        """After each batch, the log-likelihoods of the questions that are complete, by place: natural logarithms, one
        a choice. Raises TrainerError for a value that is not finite, or a single row that exceeds the memory."""
        rows, cut = pack(questions, self.max_length, share=self.shares)
        self.cut += cut
        found: list[dict[int, float]] = [{} for _ in questions]
        for batch in batches(rows, self._batch_tokens):
            touched = set()
            for question, choice, value in self._values(batch):
                found[question][choice] = value
                touched.add(question)
            yield {
                place: tuple(found[place][choice] for choice in range(len(questions[place].continuations)))
                for place in sorted(touched)
                if len(found[place]) == len(questions[place].continuations)
            }

    def values_at(self, inputs: Any, wanted: Sequence[tuple[int, int]], **arguments: Any) -> list[float]:
        """Log-likelihoods of tokens: of each (position in the flattened batch that predicts it, token).

        inputs      token ids, [rows, width]
        arguments   of the model's forward pass
        """
        import torch

        read: dict[int, int] = {}  # position in the batch -> row of the logits
        rows = [read.setdefault(position, len(read)) for position, _ in wanted]
        at, tokens = (torch.tensor(each, device=self.device) for each in (rows, [token for _, token in wanted]))
        with torch.inference_mode(), self._selecting(torch.tensor(list(read), device=self.device)) as select:
            logits = select(self.model(input_ids=inputs.to(self.device), **arguments).logits).float()
            found: list[float] = (logits[at, tokens] - torch.logsumexp(logits, dim=-1)[at]).tolist()
        return found

    def added_to_scores(self, sees: Any) -> Any:
        """The mask of what each token sees, as it is added to the attention's scores: `sees` is bool, [rows, tokens,
        tokens]; returns [rows, 1, tokens, tokens]."""
        import torch

        dtype = self.model.dtype
        mask = torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)
        return mask[:, None].to(self.device)

    def too_large(self, tokens: int) -> TrainerError:
        """The error of a row that exceeds the memory."""
        return TrainerError(
            f"A row of {tokens:,} tokens does not fit into memory. Free some, take a smaller "
            "model, or compute in bf16 (--precision bf16)."
        )

    def check_finite(self, values: Iterable[float]) -> None:
        """Raises TrainerError for a value that is not finite."""
        if not all(map(math.isfinite, values)):
            raise TrainerError(
                f"The model's log-likelihoods are not finite in {self.precision}. Measure it with --precision fp32; "
                "if they are not there either, the weights are damaged."
            )

    def _values(self, batch: Sequence[PackedRow]) -> list[tuple[int, int, float]]:
        """(question, choice, log-likelihood) of a batch's continuations."""
        try:
            values = self._forward(batch)
        except (RuntimeError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            if len(batch) == 1:
                raise self.too_large(len(batch[0].tokens)) from error
            half = len(batch) // 2
            return [*self._values(batch[:half]), *self._values(batch[half:])]
        self.check_finite(value for _, _, value in values)
        return values

    def _forward(self, batch: Sequence[PackedRow]) -> list[tuple[int, int, float]]:
        import torch

        width = max(len(row.tokens) for row in batch)
        inputs = torch.zeros((len(batch), width), dtype=torch.long)
        places = torch.zeros((len(batch), width), dtype=torch.long)
        wanted: list[tuple[int, int]] = []
        for number, row in enumerate(batch):
            inputs[number, : len(row.tokens)] = torch.tensor(row.tokens)
            places[number, : len(row.tokens)] = torch.tensor(row.places)
            for each in row.continuations:
                pairs = zip(each.positions, each.tokens, strict=True)
                wanted.extend((number * width + position, token) for position, token in pairs)
        arguments: dict[str, Any] = {"use_cache": False}
        if not all(row.is_chain for row in batch):
            arguments |= {"position_ids": places.to(self.device), "attention_mask": self._mask(batch, width)}
        values = iter(self.values_at(inputs, wanted, **arguments))
        return [
            (each.question, each.choice, math.fsum(next(values) for _ in each.tokens))
            for row in batch
            for each in row.continuations
        ]

    def _mask(self, batch: Sequence[PackedRow], width: int) -> Any:
        """What each token sees, added to the attention's scores: [rows, 1, width, width]."""
        import torch

        sees = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)  # padding sees itself: no row is empty
        for number, row in enumerate(batch):
            length = len(row.tokens)
            segments, places = torch.tensor(row.segments), torch.tensor(row.places)
            related = torch.tensor(row.ancestors())[segments][:, segments]
            sees[number, :length, :length] |= related & (places[None, :] <= places[:, None])
        return self.added_to_scores(sees)

    @contextmanager
    def _selecting(self, positions: Any) -> Iterator[Any]:
        """Only these positions of the flattened batch pass the output layer; gives what makes logits [positions,
        vocabulary] of the model's."""

        def flat(states: Any) -> Any:
            return states.reshape(-1, states.shape[-1])

        if self._head is None:
            yield lambda logits: flat(logits)[positions]
            return
        hook = self._head.register_forward_pre_hook(
            lambda _head, inputs: (flat(inputs[0])[positions].unsqueeze(0), *inputs[1:])
        )
        try:
            yield flat
        finally:
            hook.remove()

    def _agrees(self) -> bool:
        """Whether the model computes a question in one row as it computes each choice alone."""
        alone, _ = pack([_TRIAL], self.max_length, share=False)
        together, _ = pack([_TRIAL], self.max_length, share=True)
        expected = {choice: value for _, choice, value in self._forward(alone)}
        try:
            found = {choice: value for _, choice, value in self._forward(together)}
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
            return False
        return all(abs(found[choice] - expected[choice]) <= CLOSE[self.precision] for choice in expected)


def _has_windows(config: Any) -> bool:
    """Whether some layer attends to the last tokens only, or to no past at all."""
    text = config.get_text_config()
    layers = getattr(text, "layer_types", None)
    if layers:
        return any(layer != "full_attention" for layer in layers)
    return getattr(text, "sliding_window", None) is not None
