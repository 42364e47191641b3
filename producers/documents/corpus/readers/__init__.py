"""Files to texts: one module a form of file. None of them decides whether a text is used.

`read_file` never raises for what a file holds: what cannot be read comes as a text with `wrong`, and the rest goes on.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest
from producers.documents.corpus.readers.html import read_html
from producers.documents.corpus.readers.parquet import read_parquet
from producers.documents.corpus.readers.pdf import read_pdf
from producers.documents.corpus.readers.plain import read_plain
from producers.documents.corpus.readers.rows import read_json_lines, read_json_list

__all__ = ["FoundText", "ReadOptions", "read_file"]

_BROKEN = (OSError, EOFError, zlib.error)  # gzip.BadGzipFile is an OSError
_BLOCK = 1 << 20

_READERS = {
    "text": read_plain,
    "markdown": read_plain,
    "html": read_html,
    "pdf": read_pdf,
    "parquet": read_parquet,
    "jsonl": read_json_lines,
}


def read_file(file: CorpusFile, options: ReadOptions) -> Iterator[FoundText]:
    """The texts of a file, in order. One that breaks off ends with a text that is `wrong`, at the next place."""
    reader = read_json_list if file.ending == ".json" else _READERS[file.format]
    place = 0
    if file.path.exists() and not file.path.is_file():  # reading a pipe may never end
        yield FoundText(file.source, 0, file.format, digest(b""), wrong="no regular file")
        return
    try:
        with _opened(file) as stream:
            for found in reader(file, stream, options):
                yield found
                place = found.place + 1
    except _BROKEN as error:
        yield FoundText(file.source, place, file.format, _digest_of(file.path), wrong=_sentence(error))


@contextmanager
def _opened(file: CorpusFile) -> Iterator[BinaryIO]:
    with file.path.open("rb") as raw:
        if not file.packed:
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield cast(BinaryIO, unpacked)


def _digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as far as they can be read."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError:
        return digest(b"")
    return found.hexdigest()


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which is not the same on every machine
    return str(error) or type(error).__name__
