"""The similarity index, compiled: the answers of `reference.ReferenceIndex`, from Rust (`native/`).

Texts are split in Rust where the tokenizer is the default one; another tokenizer is called, and its tokens are passed.
"""

from collections.abc import Callable, Iterable, Sequence

from streams.core.similarity.items import Position, check_new, checked, known, unknown
from streams.core.similarity.tokenize import Tokenizer, rouge_tokens

_AT_ONCE = 2000
_Item = tuple[str, str | list[str], int, int]


class NativeIndex:
    """Texts by id, searchable for the nearest with ROUGE-L F above `threshold`.

    Raises ConfigurationError unless 0 <= threshold < 1.
    """

    def __init__(self, threshold: float, *, tokenizer: Tokenizer | None = None) -> None:
        import sedi_native

        self.threshold = checked(threshold)
        self._tokenize = tokenizer if tokenizer is not None else rouge_tokens
        self._splits = self._tokenize is rouge_tokens
        self._index = sedi_native.Index(threshold)

    def __reduce__(self) -> "tuple[Callable[..., NativeIndex], tuple[float, Tokenizer, bytes]]":
        return _restored, (self.threshold, self._tokenize, self._index.dump())

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and id in self._index

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._index.__sizeof__()

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text; one without tokens is similar to nothing."""
        return self._tokenize(text)

    def add(self, id: str, text: str, position: Position | None = None) -> None:
        """Add a text at `position` of the log, by default right after the last. Raises SediError for a known id."""
        if position is None:
            last = self._index.last
            position = (last[0], last[1] + 1)
        if not self._index.add(id, self._given(text), *position):
            raise known(id)

    def extend(
        self, items: Iterable[tuple[str, str, Position]], *, progress: Callable[[int], None] | None = None
    ) -> None:
        """Add many (id, text, position), faster than one by one: frequencies are known before lists are built.

        `progress` is called now and then with a number that rises to the number of items: half of it while they are
        read, half while they are listed. Raises SediError for a known id; the items before it are added.
        """
        stored = 0
        waiting: list[_Item] = []
        try:
            for id, text, position in items:
                waiting.append((id, self._given(text), *position))
                if len(waiting) == _AT_ONCE:
                    some, waiting = waiting, []
                    stored += self._store(some)
                    if progress is not None:
                        progress(stored // 2)
        finally:  # also when the items end in an error: those before it are added
            try:
                stored += self._store(waiting)
            finally:
                left = 1
                while left:
                    left = self._index.list_some(_AT_ONCE)
                    if progress is not None:
                        progress((2 * stored - left) // 2)

    def _store(self, items: "list[_Item]") -> int:
        count = self._index.store(items)
        if count < len(items):
            raise known(items[count][0])
        return count

    def remove(self, id: str) -> None:
        """Take a text out: from now on the index answers as if it had never been added. Raises SediError for an
        unknown id.
        """
        if not self._index.remove(id):
            raise unknown(id)

    def nearest_above(self, text: str, before: Position | None = None) -> tuple[float, str] | None:
        """(F, id) of the item with the highest F above the threshold, the earliest added on ties; None without any.

        `before` excludes items that are not at a smaller position.
        """
        return self._index.nearest_above(text if self._splits else self._tokenize(text), before)

    def add_unless_similar(self, items: Sequence[tuple[str, str, Position]]) -> list[tuple[float, str] | None]:
        """`nearest_above` of each (id, text, position) in turn; an item without any is added before the next one.

        Raises SediError for a known id or one that comes twice; then nothing is added.
        """
        check_new(self, items)
        return self._index.add_unless_similar([(id, self._given(text), *position) for id, text, position in items])

    def _given(self, text: str) -> str | list[str]:
        return text if self._splits else self._tokenize(text)


def _restored(threshold: float, tokenizer: Tokenizer, state: bytes) -> NativeIndex:
    import sedi_native

    index = NativeIndex(threshold, tokenizer=tokenizer)
    index._index = sedi_native.Index.load(state)
    return index
