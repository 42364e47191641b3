"""A feed whose rows are turned round, for an instruction generator (`infra.models.turned_rows`).

A row that teaches nothing, such as one whose output is a single word, is left out, and counted in the first epoch. Ids
and places stay those of the run, so batches, checkpoints and positions work as for any training.
"""

from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from consumers.trainer.data.log_feed import FedRows, Feed
from infra.models.turned_rows import teaches, turned
from streams.core.batches import KeptRow, PartitionPosition


class TurnedFeed:
    """The rows of another feed, turned round."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._counts = True

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        self._feed.open(positions, limits)
        self._counts = limits is None  # else these rows were read before

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        fed = self._feed.take(wait_s, to_end)
        rows = tuple(_turned(row) for row in fed.rows if teaches(row.kept))
        return replace(fed, rows=rows, left_out=len(fed.rows) - len(rows) if self._counts else 0)

    def close(self) -> None:
        self._feed.close()


def _turned(row: KeptRow) -> KeptRow:
    return replace(row, kept=structs.replace(row.kept, **structs.asdict(turned(row.kept))))
