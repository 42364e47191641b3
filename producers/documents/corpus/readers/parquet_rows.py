"""Decodes a Parquet file and writes its rows to standard output, as frames (`parquet`).

`python -m producers.documents.corpus.readers.parquet_rows FILE [TEXT_COLUMN]`
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from infra.machine.supervisor import die_with_parent
from producers.documents.corpus.readers.parquet import END, LENGTH, ROWS, WRONG
from producers.documents.corpus.readers.rows import LICENCE_COLUMNS, TEXT_COLUMNS, TITLE_COLUMNS

if TYPE_CHECKING:
    import polars as pl

_BATCH = 1_000


def decoded(path: Path, text_column: str | None) -> Iterator["pl.DataFrame | str"]:
    """Batches of rows, the text's column first; if something is wrong with the file, then that, as the last."""
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    try:
        rows = pl.scan_parquet(path, glob=False)
        there = rows.collect_schema()
        columns = TEXT_COLUMNS if text_column is None else (text_column,)
        texts = [name for name in columns if there.get(name) == pl.String][:1]
        if not texts:
            named = f"no text column named {', '.join(columns)}; its columns are {', '.join(there)}"
            yield f"{named}; name one with --text-column"
            return
        others = [
            name for name in (*TITLE_COLUMNS, *LICENCE_COLUMNS) if there.get(name) == pl.String and name not in texts
        ]
        yield from rows.select(*texts, *others).collect_batches(chunk_size=_BATCH, maintain_order=True)
    except (PolarsError, PanicException) as error:  # a panic of polars is a BaseException
        yield f"damaged: {(str(error).splitlines() or [type(error).__name__])[0]}"


def main(path: str, text_column: str | None = None) -> None:
    for batch in decoded(Path(path), text_column):
        if isinstance(batch, str):
            _send(WRONG, batch.encode(errors="replace"))
        else:
            written = BytesIO()
            batch.write_ipc(written)
            _send(ROWS, written.getbuffer())
    _send(END, b"")


def _send(kind: bytes, payload: bytes | memoryview) -> None:
    sys.stdout.buffer.write(kind + len(payload).to_bytes(LENGTH))
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
