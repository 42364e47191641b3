"""The Parquet file, in bounded memory: polars' streaming engine writes it from rows that arrive batch by batch.

polars pulls its input, and so do we; a thread with a short queue connects the two. A batch is a row group, so the bytes
depend on the rows alone; other batches would give other pages. Another version of polars, which is named in the file,
may write other bytes for the same rows.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from typing import Any

import msgspec
import polars as pl
from polars.io.plugins import register_io_source

from consumers.export.rows import ExportRow
from schemas.errors import ConfigurationError

ROWS_A_GROUP = 10_000
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "cluster": pl.Int32,
    "generation_id": pl.String,
    "generated_offset": pl.Int64,
    "place": pl.Int32,
    "classifier_offset": pl.Int64,
    "lane": pl.String,
    "number": pl.Int64,
    "model": pl.String,
    "backend": pl.String,
    "style": pl.String,
    "seed_ids": pl.List(pl.String),
    "request_ids": pl.List(pl.String),
    "cost_usd": pl.Float64,
}
_TEXTS = ("instruction", "input", "output")
_QUEUED = 1  # batches between us and polars
_POLL_S = 1.0


class ParquetFile:
    """Writes rows as Parquet. Every batch but the last must have ROWS_A_GROUP rows."""

    def __init__(self, path: Path, *, scores: bool = False, origins: bool = False, answers: bool = False) -> None:
        self._path = path
        self._schema = SCHEMA | ({"answer_model": pl.String, "answer_cost_usd": pl.Float64} if answers else {})
        self._schema |= {"score": pl.Float64} if scores else {}
        if origins:
            self._schema |= {"origin": pl.String, "file_place": pl.String}
        self._batches: Queue[pl.DataFrame | None] = Queue(_QUEUED)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._written = self._thread.submit(self._sink)

    def write(self, rows: Sequence[ExportRow]) -> None:
        """Hand a batch over; waits while polars is busy. Raises ConfigurationError when the file cannot be written."""
        columns = {
            name: [_value(row.kept if name in _TEXTS else row.lineage, name) for row in rows] for name in self._schema
        }
        self._put(pl.DataFrame(columns, schema=self._schema))

    def close(self) -> None:
        """Wait until the file is complete. Raises ConfigurationError when it cannot be written."""
        self._put(None)
        self._end()

    def abort(self) -> None:
        """Close the file unfinished."""
        while not self._written.done():
            with suppress(Full):
                self._batches.put(None, timeout=_POLL_S)
        self._thread.shutdown()

    def _put(self, batch: pl.DataFrame | None) -> None:
        while not self._written.done():
            with suppress(Full):
                return self._batches.put(batch, timeout=_POLL_S)
        self._end()

    def _end(self) -> None:
        try:
            self._written.result()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ConfigurationError(
                f"{self._path.name} cannot be written: {error}. Is there room on the disk?"
            ) from error
        finally:
            self._thread.shutdown()

    def _sink(self) -> None:
        register_io_source(lambda *_: self._arriving(), schema=self._schema).sink_parquet(
            self._path,
            compression="zstd",
            compression_level=3,
            row_group_size=ROWS_A_GROUP,
            maintain_order=True,
            engine="streaming",
        )

    def _arriving(self) -> Iterator[pl.DataFrame]:
        while (batch := self._batches.get()) is not None:
            yield batch


def _value(source: object, name: str) -> Any:
    """A field; None where it is absent."""
    found = getattr(source, name, None)
    return None if isinstance(found, msgspec.UnsetType) else found
