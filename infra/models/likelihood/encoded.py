"""What is computed: continuations of a prefix, as tokens."""

from dataclasses import dataclass
from typing import Any

_UNKNOWN_CONTEXT = 2048
_UNSET = 10**9  # tokenizers without a limit name a larger one


@dataclass(frozen=True)
class EncodedQuestion:
    """A question's tokens.

    prefix          that all choices follow
    continuations   each choice's own tokens, at least one
    """

    prefix: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


def context_length(config: Any, tokenizer: Any) -> int:
    """The longest input of a model, in tokens."""
    for found in (config.get_text_config(), config):
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            if isinstance(length := getattr(found, name, None), int):
                return length
    length = getattr(tokenizer, "model_max_length", None)
    return int(length) if length is not None and length < _UNSET else _UNKNOWN_CONTEXT
