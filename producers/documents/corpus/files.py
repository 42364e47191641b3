"""Which files of the given paths are read: by their endings, in sorted order."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.documents import DocumentFormat
from schemas.errors import ConfigurationError

PACKED = ".gz"
FORMATS: dict[str, DocumentFormat] = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
"""By ending; each may be followed by `.gz`."""


@dataclass(frozen=True)
class CorpusFile:
    """A file to read.

    source   its name in events: under the folder that was given, with `/`
    ending   a key of `FORMATS`
    packed   by gzip
    """

    path: Path
    source: str
    ending: str
    packed: bool

    @property
    def format(self) -> DocumentFormat:
        return FORMATS[self.ending]


@dataclass(frozen=True)
class CorpusFiles:
    """The files to read, in order.

    skipped   files of the folders that are not read: hidden, or with another ending
    closed    folders that cannot be listed, each with the reason
    """

    files: tuple[CorpusFile, ...]
    skipped: int = 0
    closed: tuple[str, ...] = ()


def corpus_files(paths: Iterable[Path]) -> CorpusFiles:
    """The files of folders, with their subfolders, and single files. A file that is named twice is read once.

    Raises ConfigurationError for a path that is not there, or a single file with an ending that is not known.
    """
    found: dict[Path, CorpusFile] = {}
    skipped = 0
    closed: list[str] = []
    for path in paths:
        if path.is_dir():
            for file in _walk(path, closed):
                known = _corpus_file(file, file.relative_to(path).as_posix())
                if known is None:
                    skipped += 1
                else:
                    found.setdefault(file.resolve(), known)
        elif path.exists():
            known = _corpus_file(path, path.name)
            if known is None:
                raise ConfigurationError(
                    f"{path} has an ending that is not known here. Give files that end in {', '.join(FORMATS)}, each "
                    f"also with {PACKED}."
                )
            found.setdefault(path.resolve(), known)
        else:
            raise ConfigurationError(f"{path} is not there. Give a folder or a file of documents.")
    return CorpusFiles(tuple(found.values()), skipped, tuple(closed))


def _walk(folder: Path, closed: list[str]) -> Iterator[Path]:
    """All files below, sorted by name in each folder; hidden folders, and links to folders, are left out."""

    def note(error: OSError) -> None:
        closed.append(f"{error.filename}: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names))


def _corpus_file(path: Path, source: str) -> CorpusFile | None:
    if path.name.startswith("."):
        return None
    name = path.name.lower()
    packed = name.endswith(PACKED)
    ending = Path(name.removesuffix(PACKED)).suffix
    if ending not in FORMATS:
        return None
    return CorpusFile(path, os.fsencode(source).decode(errors="replace"), ending, packed)
