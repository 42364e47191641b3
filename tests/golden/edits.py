"""A log in memory that can be edited, and written as an archive.

Offsets are renumbered after an insertion or deletion, unless a gap is requested. Nothing else is adjusted.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from infra.log.archive import MANIFEST, ArchiveFile, ArchiveLine, ArchiveManifest, ArchiveSource, Text

Json = dict[str, Any]

_lines = msgspec.json.Decoder(ArchiveLine)


class Log:
    """The lines of each partition, and its end offset."""

    def __init__(self, folder: Path) -> None:
        self.manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=ArchiveManifest)
        self._lines = {
            file.place: [_lines.decode(text) for text in (folder / file.name).read_bytes().splitlines()]
            for file in self.manifest.files
        }
        self._ends = {file.place: file.end for file in self.manifest.files}

    def value(self, topic: str, offset: int, partition: int = 0) -> Json:
        """An event's JSON object."""
        return _value(self._lines[topic, partition][offset])

    def values(self, topic: str, partition: int = 0) -> list[Json]:
        """The JSON objects of a partition's events; empty for other records."""
        return [_value(line) for line in self._lines[topic, partition]]

    def change(self, topic: str, offset: int, how: Callable[[Json], object], partition: int = 0) -> None:
        """Change an event: `how` edits its JSON object."""
        line = self._lines[topic, partition][offset]
        value = _value(line)
        how(value)
        self._set(topic, partition, offset, value=msgspec.json.encode(value).decode())

    def overwrite(self, topic: str, offset: int, value: Text, partition: int = 0) -> None:
        """Replace a record's value."""
        self._set(topic, partition, offset, value=value)

    def retype(self, topic: str, offset: int, type: str, partition: int = 0) -> None:
        """Change the event type of a record."""
        self.reword(topic, offset, "ce_type", type, partition)

    def reword(self, topic: str, offset: int, header: str, text: str, partition: int = 0) -> None:
        """Change a header of a record."""
        headers = self._lines[topic, partition][offset].headers
        changed = tuple((name, text if name == header else value) for name, value in headers)
        self._set(topic, partition, offset, headers=changed)

    def swap(self, topic: str, one: int, other: int, partition: int = 0) -> None:
        """Swap two records."""
        lines = self._lines[topic, partition]
        lines[one], lines[other] = lines[other], lines[one]
        self._number(topic, partition)

    def copy(self, topic: str, offset: int, to: int, partition: int = 0, to_partition: int | None = None) -> None:
        """Insert a copy of a record before the one at `to`."""
        line = self._lines[topic, partition][offset]
        into = partition if to_partition is None else to_partition
        self._lines[topic, into].insert(to, line)
        self._number(topic, into)

    def remove(self, topic: str, offset: int, partition: int = 0) -> None:
        """Delete a record and renumber the following ones."""
        del self._lines[topic, partition][offset]
        self._number(topic, partition)

    def lose(self, topic: str, offset: int, partition: int = 0) -> None:
        """Delete a record and leave a gap at its offset; the last edit of a partition."""
        del self._lines[topic, partition][offset]

    def write(self, folder: Path) -> ArchiveSource:
        """Write the log into a new folder."""
        folder.mkdir()
        files = []
        for file in self.manifest.files:
            lines = self._lines[file.place]
            raw = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            (folder / file.name).write_bytes(raw)
            sha256 = hashlib.sha256(raw).hexdigest()
            files.append(
                ArchiveFile(
                    name=file.name,
                    topic=file.topic,
                    partition=file.partition,
                    start=file.start,
                    end=self._ends[file.place],
                    records=len(lines),
                    sha256=sha256,
                )
            )
        manifest = ArchiveManifest(format=self.manifest.format, run=self.manifest.run, files=tuple(files))
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        return ArchiveSource(folder)

    def _set(self, topic: str, partition: int, offset: int, **fields: Any) -> None:
        lines = self._lines[topic, partition]
        lines[offset] = msgspec.structs.replace(lines[offset], **fields)

    def _number(self, topic: str, partition: int) -> None:
        lines = self._lines[topic, partition]
        lines[:] = [msgspec.structs.replace(line, offset=offset) for offset, line in enumerate(lines)]
        self._ends[topic, partition] = len(lines)


def _value(line: ArchiveLine) -> Json:
    """A record's JSON object; empty if it has none."""
    try:
        found = msgspec.json.decode(line.value) if isinstance(line.value, str) else {}
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}
