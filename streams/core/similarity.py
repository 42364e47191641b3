"""The similarity index (scan; being replaced by the fast one with the same interface)."""

from collections.abc import Callable, Iterable

from rapidfuzz.distance import LCSseq

from schemas.errors import ConfigurationError, SediError
from streams.core.rouge import fmeasure, rouge_l_fmeasure
from streams.core.tokenize import Tokenizer, rouge_tokens, tokenizer, unicode_tokens

__all__ = [
    "Position",
    "RougeLIndex",
    "Tokenizer",
    "rouge_l_fmeasure",
    "rouge_tokens",
    "tokenizer",
    "unicode_tokens",
]

Position = tuple[int, int]


class RougeLIndex:
    def __init__(self, threshold: float, *, tokenizer: Tokenizer | None = None) -> None:
        if not 0.0 <= threshold < 1.0:
            raise ConfigurationError(f"threshold is {threshold!r}; it must be at least 0 and below 1.")
        self.threshold = threshold
        self._tokenize = tokenizer if tokenizer is not None else rouge_tokens
        self._items: dict[str, tuple[Position, list[str]]] = {}
        self._last: Position = (-1, -1)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, id: object) -> bool:
        return id in self._items

    def tokens(self, text: str) -> list[str]:
        return self._tokenize(text)

    def add(self, id: str, text: str, position: Position | None = None) -> None:
        if id in self._items:
            raise SediError(f"The similarity index holds {id!r} already; an item is added once.")
        where = position if position is not None else (self._last[0], self._last[1] + 1)
        self._items[id] = (where, self._tokenize(text))
        self._last = max(self._last, where)

    def extend(
        self,
        items: Iterable[tuple[str, str, Position]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        for count, (id, text, position) in enumerate(items, 1):
            self.add(id, text, position)
            if progress is not None and count % 1000 == 0:
                progress(count)

    def remove(self, id: str) -> None:
        if id not in self._items:
            raise SediError(f"The similarity index does not hold {id!r}, so it cannot be removed.")
        del self._items[id]

    def nearest_above(self, text: str, before: Position | None = None) -> tuple[float, str] | None:
        query = self._tokenize(text)
        best: tuple[float, str] | None = None
        for id, (position, tokens) in self._items.items():
            if before is not None and position >= before:
                continue
            score = fmeasure(LCSseq.similarity(query, tokens), len(query), len(tokens))
            if score > self.threshold and (best is None or score > best[0]):
                best = (score, id)
        return best
