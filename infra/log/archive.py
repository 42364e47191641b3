"""A run's topics as files: one JSON Lines file a partition, and a manifest of them.

    manifest.json             the run, and for each file its topic, partition, offsets, records and SHA-256
    generated-0.jsonl         a record a line: offset, timestamp_ms, key, value, headers; `.gz` when compressed

Keys, values and header values are bytes; a line holds them as text where they are UTF-8, and as {"base64": ...} where
they are not, so that an archive can be read, compared and searched with any tool, and still gives the same bytes back.
The manifest's `tables` are the worker's changelogs, which a restored run goes on from and nobody else reads.

Guaranteed: a reading that comes to a file's end gave just the records that the manifest promises, in offset order, and
raises ConfigurationError otherwise. A reading does not look at the SHA-256, so that a log may be edited on purpose, and
offsets may be missing inside a file, as they may on a log. `verify` tells whether the files are as they were written.
"""

import base64
import gzip
import os
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Self, cast

import msgspec

from infra.digest import sha256_of
from infra.log.record import Headers, Partition, Record
from schemas.errors import ConfigurationError, RunError
from schemas.topics import check_run_name, lacking

MANIFEST = "manifest.json"
FORMAT = 1

Show = Callable[[str, int, int], None]
"""Told how far long work is: what is being done, how much of it is done, how much there is."""

Count = Annotated[int, msgspec.Meta(ge=0)]


class Base64(msgspec.Struct, frozen=True):
    """Bytes that are not UTF-8."""

    base64: str


Text = str | Base64 | None


class ArchiveLine(msgspec.Struct, frozen=True):
    """A record as a line of a file."""

    offset: Count
    timestamp_ms: int
    key: Text
    value: Text
    headers: tuple[tuple[str, Text], ...]


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's file: it holds the records of offsets [start, end), fewer than that if some are missing."""

    name: str
    topic: str
    partition: Count
    start: Count
    end: Count
    records: Count
    sha256: str

    @property
    def place(self) -> Partition:
        return self.topic, self.partition


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: the run's topics, and the worker's changelogs."""

    format: int
    run: str
    files: tuple[ArchiveFile, ...]
    tables: tuple[ArchiveFile, ...] = ()


class _Format(msgspec.Struct):
    format: int


_line = msgspec.json.Decoder(ArchiveLine)


class ArchiveSource:
    """A run in a folder of files. Raises ConfigurationError for a folder that is not an archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _manifest(folder)
        self.run = self.manifest.run
        self.name = f"run {self.run!r} in {folder}"

    def open(self, topics: Iterable[str]) -> "ArchiveReading":
        return ArchiveReading(self, topics)

    def verify(self, show: Show = lambda what, done, total: None) -> None:
        """Raise ConfigurationError for a file that is missing or is not, byte for byte, what was written."""
        files = (*self.manifest.files, *self.manifest.tables)
        for number, file in enumerate(files):
            show("checking files", number, len(files))
            path = self.folder / file.name
            try:
                found = sha256_of(path)
            except OSError as error:
                raise ConfigurationError(f"{path} cannot be read: {error}. Is the archive whole?") from error
            if found != file.sha256:
                raise ConfigurationError(
                    f"{path} is damaged or was edited: its SHA-256 is {found}, and the manifest has {file.sha256}. "
                    "Take another copy of the archive, or archive the run again."
                )
        show("checking files", len(files), len(files))


class ArchiveReading:
    """Reads the files of some topics side by side, each line by line."""

    def __init__(self, source: ArchiveSource, topics: Iterable[str]) -> None:
        wanted = set(topics)
        self._folder = source.folder
        files = (*source.manifest.files, *source.manifest.tables)
        self._files = {file.place: file for file in files if file.topic in wanted}
        self._lacking = frozenset((topic, 0) for topic in lacking(wanted, (topic for topic, _ in self._files)))
        missing = wanted - {topic for topic, _ in (*self._files, *self._lacking)}
        if missing:
            raise RunError(f"The archive {source.folder} has no topic {min(missing)}. Archive the run again, whole.")
        self._records: dict[Partition, Generator[Record, None, None]] = {}

    def starts(self) -> Mapping[Partition, int]:
        return {place: file.start for place, file in self._files.items()} | dict.fromkeys(self._lacking, 0)

    def ends(self) -> Mapping[Partition, int]:
        return {place: file.end for place, file in self._files.items()} | dict.fromkeys(self._lacking, 0)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        if (topic, partition) not in self._lacking:
            self._records[topic, partition] = self._read(self._files[topic, partition], since=offset)

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        if place in self._lacking:
            return None
        if place not in self._records:
            self._records[place] = self._read(self._files[place])
        return next(self._records[place], None)

    def rest(self) -> Iterator[Record]:
        for place in self._files:
            while (record := self.next(*place)) is not None:
                yield record

    def _read(self, file: ArchiveFile, since: int = 0) -> Generator[Record, None, None]:
        path = self._folder / file.name
        following, number = file.start, 0
        with open_file(path) as opened:
            for number, text in enumerate(_lines(path, opened), start=1):
                record = _record(file, path, number, text)
                if not following <= record.offset < file.end:
                    raise ConfigurationError(
                        f"Line {number} of {path} has offset {record.offset}, where one of {following} to "
                        f"{file.end - 1} belongs. The archive is damaged; archive the run again."
                    )
                following = record.offset + 1
                if record.offset >= since:
                    yield record
        if number != file.records:
            raise ConfigurationError(
                f"{path} has {number} records, and the manifest promises {file.records}. The file is cut off or was "
                "edited; take another copy of the archive, or archive the run again."
            )

    def close(self) -> None:
        for records in self._records.values():
            records.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def line_of(record: Record) -> bytes:
    """A record as a line of a file, its end of line included; the same record gives the same bytes."""
    headers = tuple((name, as_text(value)) for name, value in record.headers)
    line = ArchiveLine(record.offset, record.timestamp_ms, as_text(record.key), as_text(record.value), headers)
    return msgspec.json.encode(line) + b"\n"


def open_file(path: Path) -> IO[bytes]:
    """The file's lines, decompressed. Raises ConfigurationError when it is not there."""
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
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


def _lines(path: Path, opened: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from opened
    except (OSError, EOFError, zlib.error) as error:  # what a cut-off or damaged compressed file raises
        raise ConfigurationError(
            f"{path} cannot be read to its end: {error}. Take another copy of the archive, or archive the run again."
        ) from error


def _record(file: ArchiveFile, path: Path, number: int, text: bytes) -> Record:
    try:
        line = _line.decode(text)
        # A header's value may be null on Kafka; whoever decodes the record's event looks at that.
        headers = cast("Headers", tuple((name, as_bytes(value)) for name, value in line.headers))
        key, value = as_bytes(line.key), as_bytes(line.value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigurationError(f"Line {number} of {path} is not a record: {error}. Archive the run again.") from error
    return Record(file.topic, file.partition, line.offset, line.timestamp_ms, key, value, headers)


def _manifest(folder: Path) -> ArchiveManifest:
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{folder} is not an archive of a run: {error}. Make one with `sedi archive`."
        ) from error
    try:
        # The format first: of another one nothing else is known.
        found = msgspec.json.decode(raw, type=_Format).format
        if found != FORMAT:
            raise ConfigurationError(
                f"{folder} has the format {found}, and this program reads {FORMAT}. Use the version it is from."
            )
        manifest = msgspec.json.decode(raw, type=ArchiveManifest)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is not a manifest: {error}. Archive the run again.") from error
    check_run_name(manifest.run)
    seen: set[Partition] = set()
    for file in (*manifest.files, *manifest.tables):
        if file.name != os.path.basename(file.name) or file.name in ("", ".", ".."):  # noqa: PTH119 - a plain name
            raise ConfigurationError(f"{path} names the file {file.name!r}, which is not one in its folder.")
        if file.place in seen:
            raise ConfigurationError(f"{path} has {file.topic}/{file.partition} twice. Archive the run again.")
        seen.add(file.place)
    return manifest
