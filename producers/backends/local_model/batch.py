"""Continuous batching: rows generate together, and join and leave the batch between any two steps.

A step is one forward pass, which gives every row its next token. New rows are prefilled in a forward pass of their own
and then join. Finished rows are removed, so that no row waits for the longest one and no computation is spent on a
finished one. A row that had been preempted is prefilled with its prompt and generated tokens, and continues.
"""

from collections.abc import Sequence
from typing import Any

import torch

from producers.backends.local_model.cache import BatchCache
from producers.backends.local_model.loading import LocalModel
from producers.backends.local_model.row import DecodingRow
from producers.backends.local_model.sampling import draw


class DecodingBatch:
    """The state. `rows` are in the order of the cache's rows."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._cache = BatchCache()
        self._mask = torch.zeros(0, 0, dtype=torch.long)
        self.rows: list[DecodingRow] = []

    @torch.inference_mode()
    def join(self, rows: Sequence[DecodingRow]) -> None:
        """Prefill rows, give each its next token, and add them to the batch."""
        known = [[*row.prompt, *row.generated] for row in rows]
        longest = max(map(len, known))
        # The mask hides the padding token.
        tokens = torch.tensor([[0] * (longest - len(row)) + row for row in known])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in known])
        cache = BatchCache()
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        self._forward(rows, cache, tokens=tokens, mask=mask, positions=positions)
        if self.rows:
            self._cache.join(cache)
            self._mask = _joined(self._mask, mask)
        else:
            self._cache, self._mask = cache, mask
        self.rows.extend(rows)

    @torch.inference_mode()
    def step(self) -> None:
        """Give every row its next token."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=-1)
        tokens = torch.tensor([[row.generated[-1]] for row in self.rows])
        positions = self._mask.sum(dim=-1, keepdim=True) - 1
        self._forward(self.rows, self._cache, tokens=tokens, mask=self._mask, positions=positions)

    @torch.inference_mode()
    def keep(self, rows: Sequence[DecodingRow]) -> None:
        """Remove all but these rows, and the padding that none of them needs."""
        staying = set(map(id, rows))
        kept = [place for place, row in enumerate(self.rows) if id(row) in staying]
        if len(kept) == len(self.rows):
            return
        if not kept:
            self.clear()
            return
        mask = self._mask[kept]
        first = int(mask.argmax(dim=-1).min())  # start of the longest row
        self._cache.select(kept, first)
        self._mask = mask[:, first:]
        self.rows = [self.rows[place] for place in kept]

    def clear(self) -> None:
        """Remove all rows."""
        self._cache, self._mask, self.rows = BatchCache(), torch.zeros(0, 0, dtype=torch.long), []

    def _forward(
        self,
        rows: Sequence[DecodingRow],
        cache: BatchCache,
        *,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
    ) -> None:
        model = self._model
        options: dict[str, Any] = {"position_ids": positions.to(model.device)} if model.takes_positions else {}
        if model.keeps_logits:
            options["logits_to_keep"] = 1
        output = model.model(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            use_cache=True,
            **options,
        )
        for row, token in zip(rows, draw(output.logits[:, -1], rows), strict=True):
            row.take(token)


def _joined(upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    length = max(upper.shape[-1], lower.shape[-1])
    pad = torch.nn.functional.pad
    return torch.cat([pad(mask, (length - mask.shape[-1], 0)) for mask in (upper, lower)])
