"""The loss of a micro-batch: the summed cross-entropy of each row's response tokens.

A hook before the output layer drops all positions that do not predict a response token. That saves the widest matrix
product and most of a micro-batch's memory, above all with a large vocabulary. Rows are padded on the right, without an
attention mask: under causal attention no token sees the padding behind it, and torch can use its faster kernel.
"""

from collections.abc import Callable, Sequence
from typing import Any

from infra.models.templates import EncodedRow


class ResponseLoss:
    """The loss of one causal LM. Its hook does nothing while the model is used for anything else."""

    def __init__(self, model: Any, pad_token: int) -> None:
        self._pad_token = pad_token
        self._positions: Any = None
        head = model.get_output_embeddings()
        self._hooked = head is not None
        if head is not None:
            head.register_forward_pre_hook(self._select_positions)

    def __call__(self, forward: Callable[..., Any], rows: Sequence[EncodedRow], device: Any) -> Any:
        """The summed response loss of each row: [rows], fp32, 0 for a row without a response."""
        import torch

        width = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), width), self._pad_token, dtype=torch.long)
        positions: list[int] = []
        counts: list[int] = []
        for index, row in enumerate(rows):
            ids[index, : len(row.tokens)] = torch.tensor(row.tokens)
            of_row = range(index * width + max(row.prompt, 1) - 1, index * width + len(row.tokens) - 1)
            positions.extend(of_row)
            counts.append(len(of_row))
        predicting = torch.tensor(positions, dtype=torch.long)
        targets = ids.view(-1)[predicting + 1].to(device)
        self._positions = predicting.to(device)
        try:
            logits = forward(input_ids=ids.to(device)).logits
            logits = logits.reshape(-1, logits.shape[-1])
            if not self._hooked:
                logits = logits[self._positions]
        finally:
            self._positions = None
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return torch.stack([part.sum() for part in torch.split(losses, counts)])

    def _select_positions(self, _head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._positions is None:
            return None
        hidden = inputs[0]
        return (hidden.reshape(-1, hidden.shape[-1])[self._positions].unsqueeze(0), *inputs[1:])
