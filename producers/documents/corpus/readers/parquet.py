"""Parquet files: a document a row, read in batches."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest
from producers.documents.corpus.readers.rows import LICENCE_COLUMNS, TEXT_COLUMNS, TITLE_COLUMNS, RowReader

_BATCH = 1_000


def read_parquet(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """A document a row. A packed file is unpacked into a temporary one: Parquet is read from its end."""
    if not file.packed:
        yield from _read(file, file.path, options)
        return
    with tempfile.TemporaryDirectory(prefix="sedi-corpus-") as folder:
        unpacked = Path(folder) / "unpacked.parquet"
        with unpacked.open("wb") as target:
            shutil.copyfileobj(stream, target)
        yield from _read(file, unpacked, options)


def _read(file: CorpusFile, path: Path, options: ReadOptions) -> Iterator[FoundText]:
    import polars as pl
    from polars.exceptions import PolarsError

    reader = RowReader(file, options)
    place = 0
    try:
        rows = pl.scan_parquet(path, glob=False)
        there = rows.collect_schema()
        columns = TEXT_COLUMNS if options.text_column is None else (options.text_column,)
        texts = [name for name in columns if there.get(name) == pl.String][:1]
        if not texts:
            named = f"no text column named {', '.join(columns)}; its columns are {', '.join(there)}"
            wrong = f"{named}; name one with --text-column"
            yield FoundText(file.source, 0, file.format, digest(wrong), wrong=wrong)
            return
        reader.column = texts[0]
        others = [name for name in (*TITLE_COLUMNS, *LICENCE_COLUMNS) if name in there and name not in texts]
        for batch in rows.select(*texts, *others).collect_batches(chunk_size=_BATCH, maintain_order=True):
            for row in batch.iter_rows(named=True):
                yield reader.text(row, place)
                place += 1
    except PolarsError as error:
        first = str(error).splitlines()[0]
        yield FoundText(file.source, place, file.format, _digest(path), wrong=f"damaged: {first}")


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
