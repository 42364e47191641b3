"""A run's topics as files: one JSON Lines file a partition, and a manifest of them.

    manifest.json             the run, and for each file its topic, partition, offsets, records and SHA-256
    generated-0.jsonl         a record a line: offset, timestamp_ms, key, value, headers; `.gz` when compressed

Keys, values and header values are bytes; a line holds them as text where they are UTF-8, and as {"base64": ...} where
they are not, so that an archive can be read, compared and searched with any tool, and still gives the same bytes back.
"""

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from infra.record import Partition, Record
from schemas.errors import ConfigurationError, RunError

MANIFEST = "manifest.json"
FORMAT = 1


class Base64(msgspec.Struct, frozen=True):
    """Bytes that are not UTF-8."""

    base64: str


Text = str | Base64 | None


class Line(msgspec.Struct, frozen=True):
    """A record as a line of a file."""

    offset: int
    timestamp_ms: int
    key: Text
    value: Text
    headers: tuple[tuple[str, Text], ...]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's file: it holds the records of offsets [start, end)."""

    name: str
    topic: str
    partition: int
    start: int
    end: int
    records: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds."""

    format: int
    run: str
    files: tuple[File, ...]


_line = msgspec.json.Decoder(Line)


class ArchiveSource:
    """A run in a folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _manifest(folder)
        self.run = self.manifest.run
        self.name = f"run {self.run!r} in {folder}"

    def open(self, topics: Iterable[str]) -> "ArchiveReading":
        return ArchiveReading(self, topics)


class ArchiveReading:
    """Reads the files of some topics side by side, each line by line."""

    def __init__(self, source: ArchiveSource, topics: Iterable[str]) -> None:
        wanted = tuple(topics)
        self._folder = source.folder
        self._files = {(file.topic, file.partition): file for file in source.manifest.files if file.topic in wanted}
        missing = set(wanted) - {topic for topic, _ in self._files}
        if missing:
            raise RunError(f"The archive {source.folder} has no topic {min(missing)}. Archive the run again, whole.")
        self._records: dict[Partition, Iterator[Record]] = {}
        self._opened: list[IO[bytes]] = []

    def starts(self) -> Mapping[Partition, int]:
        return {place: file.start for place, file in self._files.items()}

    def ends(self) -> Mapping[Partition, int]:
        return {place: file.end for place, file in self._files.items()}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._records[topic, partition] = (r for r in self._read(topic, partition) if r.offset >= offset)

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        if place not in self._records:
            self._records[place] = self._read(topic, partition)
        return next(self._records[place], None)

    def rest(self) -> Iterator[Record]:
        for place in self._files:
            while (record := self.next(*place)) is not None:
                yield record

    def _read(self, topic: str, partition: int) -> Iterator[Record]:
        file = self._files[topic, partition]
        opened = open_file(self._folder / file.name)
        self._opened.append(opened)
        for number, text in enumerate(opened, start=1):
            try:
                line = _line.decode(text)
                yield Record(
                    topic, partition, line.offset, line.timestamp_ms, as_bytes(line.key), as_bytes(line.value),
                    [(name, as_bytes(value) or b"") for name, value in line.headers],
                )  # fmt: skip
            except (msgspec.MsgspecError, ValueError) as error:
                raise ConfigurationError(
                    f"Line {number} of {self._folder / file.name} is not a record: {error}. Archive the run again."
                ) from error

    def close(self) -> None:
        for opened in self._opened:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def open_file(path: Path) -> IO[bytes]:
    """The file's lines, decompressed. Raises ConfigurationError when it is not there."""
    try:
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Is the archive whole?") from error


def as_bytes(text: Text) -> bytes | None:
    match text:
        case None:
            return None
        case str():
            return text.encode()
        case Base64():
            return base64.b64decode(text.base64, validate=True)


def as_text(raw: bytes | None) -> Text:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Base64(base64.b64encode(raw).decode())


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} is not an archive of a run: {error}. Make one with `sedi archive`."
        ) from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{folder / MANIFEST} is not a manifest: {error}.") from error
    if manifest.format != FORMAT:
        raise ConfigurationError(
            f"{folder} has the format {manifest.format}, and this program reads {FORMAT}. Use the version it is from."
        )
    return manifest
