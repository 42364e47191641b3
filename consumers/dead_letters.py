"""The dead letters of a run: listing them, showing one, finding those that are missing, and retrying them.

`retry` appends the original record to its topic and partition, where its readers try it again, and then marks the dead
letter. A crash between the two leaves it unmarked, and a second retry is a repeat that every reader drops. Nothing is
ever removed from a dead-letter topic.

Several dead letters of one record, as crashes may leave them, count as one, named by the first.
"""

import shlex
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from infra.log.archive import ArchiveSource
from infra.log.dead_letters import NO_VALUE, RETRY_OF, SUFFIX, DeadLetter, Mark, as_it_was, mark_headers, parse
from infra.log.record import Partition, Record
from infra.log.source import TOPICS, Source, dead_letter_topics
from infra.log.writer import LogWriter, NotWritable
from schemas.errors import ConfigurationError, RunError
from schemas.events import RunStarted, RunStopped
from schemas.topics import dead_letter_name


class ListedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in a list.

    topic, offset                its place on `<topic>.dlq`: the first of its `copies`
    timestamp_ms                 when it was written
    from_partition, from_offset  its record's place on `topic`; None when it lacks our headers
    retried_as                   the offset on `topic` of its last retry; None when it was never retried
    """

    topic: str
    offset: int
    timestamp_ms: int
    from_partition: int | None
    from_offset: int | None
    error: str
    copies: int = 1
    retried_as: int | None = None


@dataclass(frozen=True, kw_only=True)
class LetterContent:
    """A dead letter with its original record.

    left_out   whether it only names the record, which was too large
    error      why this program cannot read the record; None when it can
    """

    letter: ListedLetter
    left_out: bool
    error: str | None
    record: Record


class RetryResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a retry: the new offset on its topic, or why it was refused."""

    topic: str
    offset: int
    retried_as: int | None = None
    refused: str | None = None


_NOT_OURS = "It was not written by a reader of this project: it does not name the place it came from."


def letters(source: Source, topics: Iterable[str] | None = None) -> list[ListedLetter]:
    """The dead letters of some topics (short names, without `.dlq`) or of all; oldest first in each."""
    return [letter for topic in topics or TOPICS for letter in _scan(source, topic).letters()]


def content(source: Source, topic: str, offset: int) -> LetterContent:
    """The dead letter at `offset` of `<topic>.dlq`. Raises RunError when there is none."""
    letter = _scan(source, topic).at(offset)
    if letter is None:
        raise RunError(
            f"There is no dead letter at offset {offset} of {dead_letter_name(topic)} of {source.name}. "
            f"List them: `sedi dlq list {_place(source)} --topic {topic}`."
        )
    (found,) = _contents(source, topic, {offset: letter})
    return found


def _place(source: Source) -> str:
    """The options of a command that reads this source."""
    return shlex.join(
        ["--from-files", str(source.folder)] if isinstance(source, ArchiveSource) else ["--run", source.run]
    )


def retry(
    source: Source, writer: LogWriter, wanted: Sequence[ListedLetter], *, again: bool = False, force: bool = False
) -> Iterator[RetryResult]:
    """Put dead letters back, one after the other, with a result for each.

    One that was retried before is refused unless `again`. One that would fail again is refused unless `force`: it still
    cannot be read, or is a RunStarted or RunStopped, which holds at its own place only.
    """
    for topic in dict.fromkeys(letter.topic for letter in wanted):
        with source.open([topic]) as reading:
            partitions = reading.ends()
        for found in _contents(source, topic, {letter.offset: letter for letter in wanted if letter.topic == topic}):
            letter, record = found.letter, found.record
            reason = _refusal(found, partitions, again, force)
            if reason is not None or letter.from_partition is None or letter.from_offset is None:
                yield RetryResult(topic=topic, offset=letter.offset, refused=reason)
                continue
            origin = letter.from_partition, letter.from_offset
            came_from = f"{dead_letter_name(topic)}@{letter.offset}".encode()
            headers = [*record.headers, (RETRY_OF, came_from)]
            try:
                written = writer.put(topic, letter.from_partition, record.key, record.value, headers)
            except NotWritable as error:
                yield RetryResult(topic=topic, offset=letter.offset, refused=str(error))
                continue
            writer.put(dead_letter_name(topic), 0, None, NO_VALUE, mark_headers(topic, origin, written.offset))
            yield RetryResult(topic=topic, offset=letter.offset, retried_as=written.offset)


def missing(source: Source) -> list[tuple[str, int, int]]:
    """(topic, partition, offset) of the unreadable records that are not among the dead letters.

    In a running run they include those that no reader has reached yet.
    """
    unreadable: list[tuple[str, int, int]] = []
    dead: set[tuple[str, int, int]] = set()
    with source.open((*TOPICS, *dead_letter_topics())) as reading:
        for record in reading.rest():
            if record.topic.endswith(SUFFIX):
                letter = parse(record)
                if isinstance(letter, DeadLetter):
                    dead.add((letter.topic, *letter.origin))
            elif record.error is not None:
                unreadable.append((record.topic, record.partition, record.offset))
    return [place for place in unreadable if place not in dead]


@dataclass
class _Scan:
    """A dead-letter topic, read for a list: letters by the origin of their records."""

    by_origin: dict[tuple[int, int], ListedLetter] = field(default_factory=dict)
    origins: dict[int, tuple[int, int]] = field(default_factory=dict)
    foreign: dict[int, ListedLetter] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        match parse(record):
            case Mark(origin=origin, retried_as=offset):
                if origin in self.by_origin:
                    self.by_origin[origin] = replace(self.by_origin[origin], retried_as=offset)
            case DeadLetter(origin=origin) as letter:
                self.origins[record.offset] = origin
                known = self.by_origin.get(origin)
                self.by_origin[origin] = (
                    _letter(record, letter.error, origin) if known is None else replace(known, copies=known.copies + 1)
                )
            case None:
                self.foreign[record.offset] = _letter(record, _NOT_OURS)

    def at(self, offset: int) -> ListedLetter | None:
        origin = self.origins.get(offset)
        return self.foreign.get(offset) if origin is None else self.by_origin[origin]

    def letters(self) -> list[ListedLetter]:
        return sorted((*self.by_origin.values(), *self.foreign.values()), key=lambda letter: letter.offset)


def _scan(source: Source, topic: str) -> _Scan:
    if topic not in TOPICS:
        raise ConfigurationError(f"A run has no topic {topic!r}. Choose of {', '.join(TOPICS)}.")
    scan = _Scan()
    with source.open([dead_letter_name(topic)]) as reading:
        for record in reading.rest():
            scan.take(record)
    return scan


def _letter(record: Record, error: str, origin: tuple[int, int] | None = None) -> ListedLetter:
    partition, offset = (None, None) if origin is None else origin
    return ListedLetter(
        topic=record.topic.removesuffix(SUFFIX),
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        from_partition=partition,
        from_offset=offset,
        error=error,
    )


def _contents(source: Source, topic: str, wanted: Mapping[int, ListedLetter]) -> Iterator[LetterContent]:
    """The contents at some offsets of a dead-letter topic, in their order."""
    if not wanted:
        return
    name = dead_letter_name(topic)
    with source.open([name]) as reading:
        reading.seek(name, 0, min(wanted))
        while wanted and (record := reading.next(name, 0)) is not None and record.offset <= max(wanted):
            if record.offset not in wanted:
                continue
            letter = parse(record)
            if not isinstance(letter, DeadLetter):
                yield LetterContent(letter=wanted[record.offset], left_out=False, error=_NOT_OURS, record=record)
                continue
            original = _original(source, letter) if letter.left_out else as_it_was(letter, record)
            error = None if original.error is None else str(original.error)
            yield LetterContent(letter=wanted[record.offset], left_out=letter.left_out, error=error, record=original)


def _original(source: Source, letter: DeadLetter) -> Record:
    """The record that its dead letter only names, from its own place."""
    with source.open([letter.topic]) as reading:
        if (letter.topic, letter.partition) in reading.ends():
            reading.seek(letter.topic, letter.partition, letter.came_from)
            record = reading.next(letter.topic, letter.partition)
            if record is not None and record.offset == letter.came_from:
                return record
    raise RunError(
        f"The dead letter at offset {letter.offset} of {dead_letter_name(letter.topic)} only names its record, which "
        f"is no longer at offset {letter.came_from} of {letter.topic}/{letter.partition}."
    )


def _refusal(found: LetterContent, partitions: Container[Partition], again: bool, force: bool) -> str | None:
    letter = found.letter
    if letter.from_partition is None:
        return _NOT_OURS
    if (letter.topic, letter.from_partition) not in partitions:
        return f"It names partition {letter.from_partition} of `{letter.topic}` as its origin, which does not exist."
    if letter.retried_as is not None and not again:
        return f"It was put back before, as offset {letter.retried_as}. Use --again to put it back once more."
    if found.error is not None and not force:
        return f"It would fail again: {found.error} Use --force to put it back anyway."
    if isinstance(found.record.event, RunStarted | RunStopped) and not force:
        return "A run's start or stop holds at its own place only. Use --force to put it back anyway."
    return None
