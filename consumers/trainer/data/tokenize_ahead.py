"""Tokenises the next rows while a step is computed: the oldest few of each cluster, in a thread of its own.

Which rows a batch takes is not decided here: a row that was not foreseen (borrowed out of turn) is tokenised when it is
asked for.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from consumers.trainer.data.templates import EncodedRow
from schemas.events import InstructionKept
from streams.core.batches import KeptRow

DEPTH = 2
"""Batches whose rows are tokenised ahead."""


class TokensAhead:
    """Rows' tokens, by the row's place in the total order; what was foreseen is held until it is asked for."""

    def __init__(self, encode: Callable[[InstructionKept], EncodedRow]) -> None:
        self._encode = encode
        self._pool = ThreadPoolExecutor(1, "tokens")
        self._coming: dict[tuple[int, int], Future[EncodedRow]] = {}

    def foresee(self, rows: Iterable[KeptRow]) -> None:
        """Begin with these rows, as far as they have not been begun."""
        for row in rows:
            if row.key not in self._coming:
                self._coming[row.key] = self._pool.submit(self._encode, row.kept)

    def of(self, row: KeptRow) -> EncodedRow:
        """A row's tokens."""
        coming = self._coming.pop(row.key, None)
        return self._encode(row.kept) if coming is None else coming.result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
