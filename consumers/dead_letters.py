"""The dead letters of a run: which there are, what is in one, what is missing among them, and putting them back.

`retry` appends a record as it was to its own topic and partition, so that it goes through the same door as the first
time and is judged again by whoever reads there; then it marks the dead letter. A crash between the two leaves it
unmarked, and a second retry is a repeat that every reader drops. Nothing is ever removed from a dead-letter topic.

Dead letters of the same record (after crashes it may have several) are one here, named by the first.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from infra.log.dead_letters import NO_VALUE, RETRY_OF, SUFFIX, DeadLetter, Mark, as_it_was, mark_headers, parse
from infra.log.record import Partition, Record
from infra.log.source import TOPICS, Source, dead_letter_topics
from infra.log.writer import LogWriter, NotWritable
from schemas.errors import ConfigurationError, RunError
from schemas.events import RunStarted, RunStopped
from schemas.topics import dead_letter_name


class ListedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is listed.

    topic, offset                where it stands: on `<topic>.dlq`, the first of its `copies`
    timestamp_ms                 when it was put there
    from_partition, from_offset  where its record stands on `topic`; None when the letter does not say so as ours do
    retried_as                   the offset on `topic` that it was put back as, last; None when it never was
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
    """A dead letter with the record that it holds, as that was. `still` says why this program cannot read it, if so."""

    letter: ListedLetter
    left_out: bool
    still: str | None
    record: Record


class RetryResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one that was to be put back: the offset on its topic, or why it was refused."""

    topic: str
    offset: int
    retried_as: int | None = None
    refused: str | None = None


_NOT_OURS = "It was not put here by a reader of this project: it does not say where it came from."


def letters(source: Source, topics: Iterable[str] | None = None) -> list[ListedLetter]:
    """The dead letters of some topics (short names, without `.dlq`), by default of all; oldest first in each."""
    return [letter for topic in topics or TOPICS for letter in _scan(source, topic).letters()]


def content(source: Source, topic: str, offset: int) -> LetterContent:
    """What stands at `offset` of `<topic>.dlq`. Raises RunError when no dead letter does."""
    letter = _scan(source, topic).at(offset)
    if letter is None:
        raise RunError(
            f"No dead letter stands at offset {offset} of {dead_letter_name(topic)} of {source.name}. "
            f"`sedi dlq list --run {source.run} --topic {topic}` lists them."
        )
    (found,) = _contents(source, topic, {offset: letter})
    return found


def retry(
    source: Source, writer: LogWriter, wanted: Sequence[ListedLetter], *, again: bool = False, force: bool = False
) -> Iterator[RetryResult]:
    """Put dead letters back, one after the other; says of each what became of it.

    Refused is one that was put back before, unless `again`, and one that would fail again: it still cannot be read, or
    tells that the run started or stopped, which is only true where it stood; unless `force`.
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
    """Records that cannot be read, or do not belong where they stand, and are not among the dead letters.

    (topic, partition, offset) of each. Of a run that goes on, those are among them that no reader has come to yet.
    """
    unreadable: list[tuple[str, int, int]] = []
    dead: set[tuple[str, int, int]] = set()
    with source.open((*TOPICS, *dead_letter_topics())) as reading:
        for record in reading.rest():
            if record.topic.endswith(SUFFIX):
                said = parse(record)
                if isinstance(said, DeadLetter):
                    dead.add((said.topic, *said.origin))
            elif record.error is not None:
                unreadable.append((record.topic, record.partition, record.offset))
    return [place for place in unreadable if place not in dead]


@dataclass
class _Scan:
    """A dead-letter topic as far as listing needs it: letters by where their records came from."""

    by_origin: dict[tuple[int, int], ListedLetter] = field(default_factory=dict)
    origins: dict[int, tuple[int, int]] = field(default_factory=dict)
    foreign: dict[int, ListedLetter] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        match parse(record):
            case Mark(origin=origin, retried_as=offset):
                if origin in self.by_origin:
                    self.by_origin[origin] = replace(self.by_origin[origin], retried_as=offset)
            case DeadLetter(origin=origin) as said:
                self.origins[record.offset] = origin
                known = self.by_origin.get(origin)
                self.by_origin[origin] = (
                    _letter(record, said.error, origin) if known is None else replace(known, copies=known.copies + 1)
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
            said = parse(record)
            if not isinstance(said, DeadLetter):
                yield LetterContent(letter=wanted[record.offset], left_out=False, still=_NOT_OURS, record=record)
                continue
            was = _original(source, said) if said.left_out else as_it_was(said, record)
            still = None if was.error is None else str(was.error)
            yield LetterContent(letter=wanted[record.offset], left_out=said.left_out, still=still, record=was)


def _original(source: Source, said: DeadLetter) -> Record:
    """The record that its dead letter only names, from where it still stands."""
    with source.open([said.topic]) as reading:
        if (said.topic, said.partition) in reading.ends():
            reading.seek(said.topic, said.partition, said.came_from)
            record = reading.next(said.topic, said.partition)
            if record is not None and record.offset == said.came_from:
                return record
    raise RunError(
        f"The dead letter at offset {said.offset} of {dead_letter_name(said.topic)} only names its record, and that is "
        f"not at offset {said.came_from} of {said.topic}/{said.partition} any more."
    )


def _refusal(found: LetterContent, partitions: Container[Partition], again: bool, force: bool) -> str | None:
    letter = found.letter
    if letter.from_partition is None:
        return _NOT_OURS
    if (letter.topic, letter.from_partition) not in partitions:
        return f"It says that it came from partition {letter.from_partition} of `{letter.topic}`, which there is not."
    if letter.retried_as is not None and not again:
        return f"It was put back before, as offset {letter.retried_as}. --again does it once more."
    if found.still is not None and not force:
        return f"It would fail again: {found.still} --force puts it back all the same."
    if isinstance(found.record.event, RunStarted | RunStopped) and not force:
        return "That a run starts or stops is only true where it stood. --force puts it back all the same."
    return None
