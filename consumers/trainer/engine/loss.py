"""The loss of a pass: the summed loss of each row's response tokens.

Only the positions that predict a response token go through the output layer: a hook takes the others out just before
it, whatever the model does with its logits afterwards. That saves the widest matrix product and most of the memory of
a pass, above all with a large vocabulary. Rows are padded on the right and no attention mask is given: under causal
attention no token sees what comes after it, so the padding changes nothing, and torch takes its faster kernel.
"""

from collections.abc import Callable, Sequence
from typing import Any

from consumers.trainer.data.templates import EncodedRow


class ResponseLoss:
    """Of one causal LM. The hook lies still while the model is used for anything else."""

    def __init__(self, model: Any, pad_token: int) -> None:
        self._pad_token = pad_token
        self._places: Any = None
        head = model.get_output_embeddings()
        self._hooked = head is not None
        if head is not None:
            head.register_forward_pre_hook(self._take_places)

    def __call__(self, forward: Callable[..., Any], rows: Sequence[EncodedRow], device: Any) -> Any:
        """Summed response loss of each row, [rows], fp32; 0 for a row without a response."""
        import torch

        width = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), width), self._pad_token, dtype=torch.long)
        places: list[int] = []
        counts: list[int] = []
        for index, row in enumerate(rows):
            ids[index, : len(row.tokens)] = torch.tensor(row.tokens)
            found = range(index * width + max(row.prompt, 1) - 1, index * width + len(row.tokens) - 1)
            places.extend(found)
            counts.append(len(found))
        predicting = torch.tensor(places, dtype=torch.long)
        targets = ids.view(-1)[predicting + 1].to(device)
        self._places = predicting.to(device)
        try:
            logits = forward(input_ids=ids.to(device)).logits
            logits = logits.reshape(-1, logits.shape[-1])
            if not self._hooked:
                logits = logits[self._places]
        finally:
            self._places = None
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return torch.stack([part.sum() for part in torch.split(losses, counts)])

    def _take_places(self, _head: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._places is None:
            return None
        hidden = given[0]
        return (hidden.reshape(-1, hidden.shape[-1])[self._places].unsqueeze(0), *given[1:])
