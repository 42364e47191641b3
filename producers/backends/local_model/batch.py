"""Rows that generate together: continuous batching, in which a row joins and leaves between any two steps.

A step is one forward of the model, which gives every row its next token. New rows are read in a forward of their own
and then joined to those under way. Rows that ended are taken out, so that nobody waits for the longest, and nothing is
spent on one that has ended. A row that is read again, after it had to be put aside, goes on where it was.
"""

from collections.abc import Sequence
from typing import Any

import torch

from producers.backends.local_model.cache import BatchCache
from producers.backends.local_model.loading import LocalModel
from producers.backends.local_model.row import DecodingRow
from producers.backends.local_model.sampling import draw


class DecodingBatch:
    """The state. `rows` are those under way, in the order of the cache's."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._cache = BatchCache()
        self._mask = torch.zeros(0, 0, dtype=torch.long)
        self.rows: list[DecodingRow] = []

    @torch.inference_mode()
    def join(self, rows: Sequence[DecodingRow]) -> None:
        """Read rows, give each its next token, and let them take part in the steps from now on."""
        known = [[*row.prompt, *row.generated] for row in rows]
        longest = max(map(len, known))
        # Hidden by the mask, what pads is of no importance.
        tokens = torch.tensor([[0] * (longest - len(one)) + one for one in known])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in known])
        cache = BatchCache()
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        self._forward(rows, tokens, mask, positions, cache)
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
        self._forward(self.rows, tokens, self._mask, positions, self._cache)

    @torch.inference_mode()
    def keep(self, rows: Sequence[DecodingRow]) -> None:
        """Take out all but these, and the padding that none of them needs."""
        staying = set(map(id, rows))
        kept = [place for place, row in enumerate(self.rows) if id(row) in staying]
        if len(kept) == len(self.rows):
            return
        if not kept:
            self.clear()
            return
        mask = self._mask[kept]
        first = int(mask.argmax(dim=-1).min())  # where the longest begins
        self._cache.select(kept, first)
        self._mask = mask[:, first:]
        self.rows = [self.rows[place] for place in kept]

    def clear(self) -> None:
        """Take out all."""
        self._cache, self._mask, self.rows = BatchCache(), torch.zeros(0, 0, dtype=torch.long), []

    def _forward(
        self,
        rows: Sequence[DecodingRow],
        tokens: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: BatchCache,
    ) -> None:
        model = self._model
        told: dict[str, Any] = {"position_ids": positions.to(model.device)} if model.takes_positions else {}
        if model.keeps_logits:
            told["logits_to_keep"] = 1
        made = model.model(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            use_cache=True,
            **told,
        )
        for row, token in zip(rows, draw(made.logits[:, -1], rows), strict=True):
            row.take(token)


def _joined(upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    length = max(upper.shape[-1], lower.shape[-1])
    pad = torch.nn.functional.pad
    return torch.cat([pad(mask, (length - mask.shape[-1], 0)) for mask in (upper, lower)])
