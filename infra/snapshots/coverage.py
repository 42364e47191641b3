"""What of each partition of a log a state covers, and whether a log still has it.

A partition is covered up to a record, which is known by the digest of all it has: key, value, headers and timestamp. A
log that was made again under the same name has other headers and timestamps, even where its events are the same. Where
a partition has lost records at its start, a state covers more than the log has, and is not used.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from infra.log.archive import MANIFEST, ArchiveSource
from infra.log.record import Partition, Record
from infra.log.source import Reading, Source


class Covered(msgspec.Struct, frozen=True):
    """A partition's records [start, last], the last one with its digest; nothing of it is covered without one."""

    topic: str
    partition: int
    start: int
    last: int
    digest: str

    @property
    def place(self) -> Partition:
        return self.topic, self.partition


@dataclass
class Coverage:
    """What a state covers while it is folded. `fresh`: records since the last snapshot of it."""

    covered: dict[Partition, Covered] = field(default_factory=dict)
    fresh: int = 0
    _starts: dict[Partition, int] = field(default_factory=dict)
    _last: dict[Partition, Record] = field(default_factory=dict)

    def begin(self, starts: Mapping[Partition, int]) -> None:
        """Name the first offsets of partitions, before `take` is given a record of them."""
        for place, start in starts.items():
            self._starts.setdefault(place, start)

    def take(self, record: Record) -> None:
        """The record was applied; each partition's come in order."""
        self._last[record.topic, record.partition] = record
        self.fresh += 1

    def position(self, place: Partition) -> int:
        """The offset of the next record to apply."""
        if (last := self._last.get(place)) is not None:
            return last.offset + 1
        found = self.covered.get(place)
        return self._starts.get(place, 0) if found is None else found.last + 1

    @property
    def records(self) -> int:
        """Offsets that are covered, those without a record too."""
        return sum(self.position(place) - one.start for place, one in self.now().items())

    def now(self) -> dict[Partition, Covered]:
        """What is covered up to now."""
        for place, record in self._last.items():
            begun = self.covered.get(place)
            start = self._starts.get(place, 0) if begun is None else begun.start
            self.covered[place] = Covered(*place, start, record.offset, digest_of(record))
        self._last.clear()
        return self.covered


def digest_of(record: Record) -> str:
    """Of all that a record has but its place."""
    return hashlib.sha256(repr((record.timestamp_ms, record.key, record.value, record.headers)).encode()).hexdigest()


def goes_on(source: Source, reading: Reading, covered: Iterable[Covered]) -> bool:
    """Whether the log has what is covered; then the reading of it is at the records after that, in every partition.

    Otherwise the reading is at an unknown place, and another one has to be opened. Of an archive, `identity_of` has
    told that already, and no file of it is read.
    """
    starts, ends = reading.starts(), reading.ends()
    found = tuple(covered)
    if any(starts.get(one.place) != one.start or ends[one.place] <= one.last for one in found):
        return False
    for one in found:
        if isinstance(source, ArchiveSource):
            reading.seek(*one.place, one.last + 1)
            continue
        reading.seek(*one.place, one.last)
        record = reading.next(*one.place)
        if record is None or record.offset != one.last or digest_of(record) != one.digest:
            return False
    return True


def identity_of(source: Source) -> str:
    """What tells this log from another one of the same name: its first record, and of an archive its files."""
    digest = hashlib.sha256()
    with source.open(["run"]) as reading:
        first = reading.next("run", 0)
    if first is not None:
        digest.update(digest_of(first).encode())
    if isinstance(source, ArchiveSource):
        digest.update((source.folder / MANIFEST).read_bytes())
        for file in source.manifest.files:
            found = (source.folder / file.name).stat()
            digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()


def unread(reading: Reading, coverage: Coverage) -> Iterator[Record]:
    """The records of a reading that a coverage does not have yet, which takes each one after it was used."""
    ends = reading.ends()
    coverage.begin(reading.starts())
    for place in ends:
        if coverage.position(place) >= ends[place]:  # of an archive nothing is opened then
            continue
        while (record := reading.next(*place)) is not None:
            yield record
            coverage.take(record)
