"""Tokenizes the next rows, the oldest few of each cluster, in a thread while a step runs.

A row that was not prefetched, because a cluster borrowed it, is tokenized when it is needed.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from infra.models.templates import EncodedRow
from schemas.events import InstructionKept
from streams.core.batches import KeptRow

DEPTH = 2
"""Batches whose rows are tokenized ahead."""


class TokenPrefetcher:
    """Tokens of rows; those of prefetched rows are kept until they are taken."""

    def __init__(self, encode: Callable[[InstructionKept], EncodedRow]) -> None:
        self._encode = encode
        self._pool = ThreadPoolExecutor(1, "tokens")
        self._prefetched: dict[tuple[int, int], Future[EncodedRow]] = {}

    def prefetch(self, rows: Iterable[KeptRow]) -> None:
        """Start tokenizing these rows, except those already started."""
        for row in rows:
            if row.key not in self._prefetched:
                self._prefetched[row.key] = self._pool.submit(self._encode, row.kept)

    def tokens_of(self, row: KeptRow) -> EncodedRow:
        """A row's tokens; taken once."""
        tokens = self._prefetched.pop(row.key, None)
        return self._encode(row.kept) if tokens is None else tokens.result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
