"""Parquet files: a document a row, read in batches.

They are decoded in a process of its own (`parquet_rows`): some damaged files make polars end the process. It sends
frames: a kind, the length of the payload in eight bytes, the payload. By the last frame it is known that the file was
read to its end.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from infra.distribution import python_module
from infra.machine.supervisor import PARENT
from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest
from producers.documents.corpus.readers.rows import RowReader
from schemas.errors import SediError

if TYPE_CHECKING:
    import polars as pl

ROWS, WRONG, END = b"r", b"w", b"e"
"""Kinds of frames: rows in the IPC format of Arrow, what is wrong in UTF-8, and the last one."""
LENGTH = 8
"""Bytes of the length of a frame."""

_BROKEN_DOWN = {-number for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)}
"""How the process ends when the file makes polars end it. Anything else is not the file's fault."""

_DECODER = "producers.documents.corpus.readers.parquet_rows"


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
    reader = RowReader(file, options)
    place = 0
    for batch in _batches(path, options.text_column):
        if isinstance(batch, str):
            sha256 = _digest(path) if batch.startswith("damaged") else digest(batch)
            yield FoundText(file.source, place, file.format, sha256, wrong=batch)
            return
        reader.column = batch.columns[0]
        for row in batch.iter_rows(named=True):
            yield reader.text(row, place)
            place += 1


def _batches(path: Path, text_column: str | None) -> Iterator["pl.DataFrame | str"]:
    """Batches of rows, the column of the text first; if something is wrong with the file, then that, as the last."""
    command = python_module(_DECODER, os.fspath(path), *([] if text_column is None else [text_column]))
    # In a session of its own, so that Ctrl-C ends the reading where the command wants it; it dies with this process.
    environment = {**os.environ, PARENT: str(os.getpid())}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, env=environment, start_new_session=True
        ) as child,
    ):
        assert child.stdout is not None
        try:
            if (yield from _received(child.stdout)):
                return
            code = child.wait()
        finally:
            child.kill()
        if code not in _BROKEN_DOWN:
            said.seek(0)
            last = (said.read().decode(errors="replace").splitlines() or [""])[-1]
            raise SediError(
                f"Reading {path} was broken off: the process that decodes it ended with {code}. {last} Its rows up to "
                "here are added; free some memory if it was killed for that, and start the same command again."
            )
    yield "damaged: polars broke down on it"


def _received(stream: IO[bytes]) -> Generator["pl.DataFrame | str", None, bool]:
    """What the frames hold; returns whether they came to their end."""
    import polars as pl

    while (kind := stream.read(1)) != END:
        size = int.from_bytes(stream.read(LENGTH))
        payload = stream.read(size)
        if not kind or len(payload) < size:
            return False
        yield pl.read_ipc(BytesIO(payload)) if kind == ROWS else payload.decode()
    return True


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
