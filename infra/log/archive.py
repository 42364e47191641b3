"""A run's topics as files: one JSON Lines file a partition, and a manifest of them.

    manifest.json             the run, and for each file its topic, partition, offsets, records and SHA-256
    generated-0.jsonl         a record a line: offset, timestamp_ms, key, value, headers; `.gz` when compressed

Keys, values and header values are bytes: a line has them as text if they are UTF-8, else as {"base64": ...}. So any
tool can read, compare and search an archive, and restoring it gives the same bytes. The manifest's `tables` are the
worker's changelogs, used only by a restored run.

Guaranteed: a reading to the end of a file returns exactly the records in the manifest, in offset order, or raises
ConfigurationError. A reading does not check the SHA-256, so a log may be edited on purpose; offsets may be missing
inside a file, as on a log. `verify` checks that the files are as written.
"""

import base64
import gzip
import os
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, cast

import msgspec

from infra.digest import sha256_of
from infra.log.closing import Closing
from infra.log.record import Headers, Partition, Record
from infra.log.watched import BATCH, report_read
from schemas.errors import ConfigurationError, RunError
from schemas.topics import check_run_name, lacking

MANIFEST = "manifest.json"
FORMAT = 1

Show = Callable[[str, int, int], None]
"""Progress callback: the name of the work, how much is done, how much there is."""

Count = Annotated[int, msgspec.Meta(ge=0)]


class Base64(msgspec.Struct, frozen=True):
    """Bytes that are not UTF-8."""

    base64: str


Text = str | Base64 | None


class ArchiveLine(msgspec.Struct, frozen=True):
    """One line of a file: a record."""

    offset: Count
    timestamp_ms: int
    key: Text
    value: Text
    headers: tuple[tuple[str, Text], ...]


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's file, with the records of offsets [start, end); offsets may be missing."""

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
    """The contents of an archive: the run's topics, and the worker's changelogs."""

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
        """Raise ConfigurationError for a file that is missing or differs from what was written."""
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
                    "Use another copy of the archive, or archive the run again."
                )
        show("checking files", len(files), len(files))


class ArchiveReading(Closing):
    """Reads the files of some topics, each as a stream of lines."""

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
        report_read(0, more=sum(file.records for file in self._files.values()))

    def starts(self) -> Mapping[Partition, int]:
        return {place: file.start for place, file in self._files.items()} | dict.fromkeys(self._lacking, 0)

    def ends(self) -> Mapping[Partition, int]:
        return {place: file.end for place, file in self._files.items()} | dict.fromkeys(self._lacking, 0)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        place = topic, partition
        if place not in self._lacking:
            if place in self._records:
                self._records[place].close()
            self._records[place] = self._read(self._files[place], since=offset)

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
                if number % BATCH == 0:
                    report_read(BATCH)
                record = _record(file, path, number, text)
                if not following <= record.offset < file.end:
                    raise ConfigurationError(
                        f"Line {number} of {path} has offset {record.offset}, expected {following} to "
                        f"{file.end - 1}. The archive is damaged; archive the run again."
                    )
                following = record.offset + 1
                if record.offset >= since:
                    yield record
        report_read(number % BATCH)
        if number != file.records:
            raise ConfigurationError(
                f"{path} has {number} records, and the manifest promises {file.records}. The file is cut off or was "
                "edited; use another copy of the archive, or archive the run again."
            )

    def close(self) -> None:
        for records in self._records.values():
            records.close()


def line_of(record: Record) -> bytes:
    """A record as a line of a file, with its line end; deterministic."""
    headers = tuple((name, as_text(value)) for name, value in record.headers)
    line = ArchiveLine(record.offset, record.timestamp_ms, as_text(record.key), as_text(record.value), headers)
    return msgspec.json.encode(line) + b"\n"


def open_file(path: Path) -> IO[bytes]:
    """Open a file, decompressed. Raises ConfigurationError when it cannot be read."""
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Is the archive whole?") from error


def as_bytes(text: Text) -> bytes | None:
    if isinstance(text, str):
        return text.encode()
    return None if text is None else base64.b64decode(text.base64, validate=True)


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
    except (OSError, EOFError, zlib.error) as error:  # a truncated or damaged compressed file
        raise ConfigurationError(
            f"{path} cannot be read to its end: {error}. Use another copy of the archive, or archive the run again."
        ) from error


def _record(file: ArchiveFile, path: Path, number: int, text: bytes) -> Record:
    try:
        line = _line.decode(text)
        # A header's value may be null on Kafka; decoding the event checks that.
        headers = cast("Headers", [(name, as_bytes(value)) for name, value in line.headers])
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
        # The format first: another one may differ in everything else.
        found = msgspec.json.decode(raw, type=_Format).format
        if found != FORMAT:
            raise ConfigurationError(
                f"{folder} has format {found}, and this program reads {FORMAT}. Use the version that wrote it."
            )
        manifest = msgspec.json.decode(raw, type=ArchiveManifest)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is not a manifest: {error}. Archive the run again.") from error
    check_run_name(manifest.run)
    seen: set[Partition] = set()
    for file in (*manifest.files, *manifest.tables):
        if file.name != os.path.basename(file.name) or file.name in ("", ".", ".."):  # noqa: PTH119 - a plain name
            raise ConfigurationError(f"{path} names the file {file.name!r}, which is not in its folder.")
        if file.place in seen:
            raise ConfigurationError(f"{path} has {file.topic}/{file.partition} twice. Archive the run again.")
        seen.add(file.place)
    return manifest
