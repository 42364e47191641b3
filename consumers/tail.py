"""Following a run's events, several topics merged by time.

History is merged exactly: a record is yielded once every partition with history left has its next one, so the order is
by timestamp, then by topic as cause and effect, then by offset. Later records are yielded as they arrive, each batch in
the same order; between batches the order may differ by Kafka's delivery time. Records are fetched, never pushed, so a
burst only makes the reader fall behind. Reading changes nothing: there is no consumer group, and offsets are stored
only in a bookmark (`consumers.bookmark`).
"""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from consumers.bookmark import Bookmark
from consumers.conditions import Condition, require_known
from infra.cluster.admin import offsets_at
from infra.log.reader import LogReader
from infra.log.record import Partition, Record
from infra.log.source import TOPICS, dead_letter_topics
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError
from schemas.registry import SPECS

_AHEAD = 5_000  # records of a partition that wait for others before its fetching is paused
_BATCH = 100  # records of history in a batch; decoding more at a time is slower
_STALL_S = 30.0
_RANK = {topic: rank for rank, topic in enumerate(TOPICS)}


@dataclass(frozen=True)
class TailOptions:
    """What to follow.

    start       `start`, `end`, or an offset in each partition; ignored with `since_ms`
    last        begin with the last so many matching events; `start` and `since_ms` are ignored
    until_end   end where the log ended at the start of following
    count       end after so many events
    """

    topics: tuple[str, ...] = TOPICS
    types: frozenset[str] = frozenset()
    where: tuple[Condition, ...] = ()
    start: Literal["start", "end"] | int = "end"
    since_ms: int | None = None
    last: int | None = None
    until_end: bool = False
    count: int | None = None

    def __post_init__(self) -> None:
        known = (*TOPICS, *dead_letter_topics())
        for topic in self.topics:
            if topic not in known:
                raise ConfigurationError(
                    f"There is no topic {topic!r} in a run. Choose from {', '.join(sorted(known))}."
                )
        for name in self.types:
            if name not in SPECS:
                raise ConfigurationError(f"There is no event type {name!r}. Choose from {', '.join(sorted(SPECS))}.")
        if not self.topics_read:
            topics = ", ".join(f"{name} is on {SPECS[name].topic}" for name in sorted(self.types))
            raise ConfigurationError(f"{', '.join(self.topics)} hold no events of these types: {topics}.")
        for condition in self.where:
            require_known(condition, self.types)

    @property
    def topics_read(self) -> tuple[str, ...]:
        """The topics that can hold matching events: a type has one topic; a dead letter may be of any type."""
        holding = {SPECS[name].topic for name in self.types}
        return tuple(topic for topic in self.topics if not holding or topic in holding or topic not in TOPICS)


@dataclass(frozen=True)
class TailBatch:
    """Records to show, and the next offset of each partition after them."""

    records: Sequence[Record]
    positions: Mapping[Partition, int]


def follow(settings: Settings, run: str, options: TailOptions, bookmark: Bookmark | None = None) -> Iterator[TailBatch]:
    """The matching records; without `until_end` or `count` it never ends by itself.

    With a bookmark it begins there, and in partitions that the bookmark does not know where the options say. The first
    batch is empty and holds the start positions; while nothing arrives there is an empty one about twice a second.
    Unreadable records are included (with their `error`) unless types or conditions are given. Raises RunError when
    there is no such run, the bookmark does not fit it, or a topic was created again meanwhile; BrokerError when the
    cluster does not answer.
    """
    with LogReader(settings, run, options.topics_read, "tail") as reader:
        ends = reader.ends()
        positions = _begin(settings, run, options, reader, ends, bookmark)
        yield TailBatch((), dict(positions))
        left = options.count
        for records in _arrivals(options, reader, ends):
            shown = []
            for record in records:
                _advance(positions, run, record)
                if wanted(record, options):
                    shown.append(record)
                    if len(shown) == left:
                        break
            yield TailBatch(shown, dict(positions))
            if left is not None:
                left -= len(shown)
                if left == 0:
                    return


def as_line(record: Record) -> dict[str, Any]:
    """The record as one JSON object: its place, its envelope, and the event under `data`."""
    line: dict[str, Any] = {
        "timestamp_ms": record.timestamp_ms,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    if record.decoded is None:
        key = None if record.key is None else record.key.decode(errors="replace")
        return line | {"type": None, "key": key, "error": str(record.error)}
    meta = record.decoded.meta
    return line | {
        "type": type(record.decoded.event).__name__,
        "version": record.decoded.version,
        "id": meta.id,
        "key": record.decoded.key,
        "source": meta.source,
        "time": meta.time,
        "causation_id": meta.causation_id,
        "data": record.decoded.event,
    }


@dataclass
class TimeMerge:
    """Merges partitions, each in its own order, by time. `waiting` are those with records still to come."""

    waiting: set[Partition]
    _queues: dict[Partition, deque[Record]] = field(default_factory=dict)
    _heads: list[tuple[tuple[int, int, str, int, int], Record]] = field(default_factory=list)
    _bare: set[Partition] = field(init=False)

    def __post_init__(self) -> None:
        self._bare = set(self.waiting)

    def push(self, record: Record) -> None:
        queue = self._queues.setdefault(record.place, deque())
        queue.append(record)
        if len(queue) == 1:
            heapq.heappush(self._heads, (in_time_order(record), record))
            self._bare.discard(record.place)

    def finish(self, partitions: Iterable[Partition]) -> None:
        """These partitions have no further records."""
        self.waiting.difference_update(partitions)
        self._bare &= self.waiting

    def full(self) -> set[Partition]:
        """Partitions with so many records waiting for others that their fetching can pause."""
        return {place for place in self.waiting if len(self._queues.get(place, ())) > _AHEAD}

    def ready(self) -> Iterator[Record]:
        """Remove and return the records that no later one can precede."""
        while self._heads and not self._bare:
            _, record = heapq.heappop(self._heads)
            queue = self._queues[record.place]
            queue.popleft()
            if queue:
                heapq.heappush(self._heads, (in_time_order(queue[0]), queue[0]))
            elif record.place in self.waiting:
                self._bare.add(record.place)
            yield record


def wanted(record: Record, options: TailOptions) -> bool:
    """Whether a record matches the options. Decodes it only if needed."""
    if not options.types and not options.where:
        return True
    if options.types and not any(record.names(SPECS[name].cls) for name in options.types):
        return False
    if record.decoded is None:
        return False
    if not options.where:
        return True
    event, envelope = record.decoded.event, as_line(record)
    return all(condition.holds(event, envelope) for condition in options.where)


def _begin(
    settings: Settings,
    run: str,
    options: TailOptions,
    reader: LogReader,
    ends: Mapping[Partition, int],
    bookmark: Bookmark | None,
) -> dict[Partition, int]:
    """Seek the reader to where the options and the bookmark say; returns the positions."""
    starts = reader.starts()
    if options.last is not None:
        # no partition can have more than that many among them, unless some do not match
        ahead = options.last if not (options.types or options.where) else max(ends.values(), default=0)
        positions = {place: max(starts[place], end - ahead) for place, end in ends.items()}
    elif options.since_ms is not None:
        found = offsets_at(settings, run, options.topics_read, options.since_ms)
        positions = {place: min(found.get(place, end), end) for place, end in ends.items()}
    elif options.start == "start":
        positions = dict(starts)
    elif options.start == "end":
        positions = dict(ends)
    else:
        positions = {place: max(starts[place], min(options.start, end)) for place, end in ends.items()}
    if bookmark is not None:
        positions |= bookmark.load(starts, ends)
    for place, offset in positions.items():
        reader.seek(*place, offset)
    return positions


def _arrivals(options: TailOptions, reader: LogReader, ends: Mapping[Partition, int]) -> Iterator[Iterable[Record]]:
    later: list[Record] = []
    history = _history(reader, ends, later)
    if options.last is None:
        yield from history
    else:
        yield deque((record for records in history for record in records if wanted(record, options)), options.last)
    if options.until_end:
        return
    yield sorted(later, key=in_time_order)
    while True:
        yield sorted(reader.poll(), key=in_time_order)


def _history(reader: LogReader, ends: Mapping[Partition, int], later: list[Record]) -> Iterator[Iterable[Record]]:
    """The records before `ends`, merged by time; those fetched with them from after `ends` go into `later`."""
    merge = TimeMerge({place for place, end in ends.items() if reader.position(*place) < end})
    paused: set[Partition] = set()
    moved = time.monotonic()
    while merge.waiting:
        records = reader.poll()
        if records:
            moved = time.monotonic()
        elif time.monotonic() - moved > _STALL_S:
            left = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(merge.waiting))
            raise reader.stalled(left, _STALL_S)
        for record in records:
            if record.offset < ends[record.place]:
                merge.push(record)
            else:
                later.append(record)
        merge.finish([place for place in merge.waiting if reader.position(*place) >= ends[place]])
        ready = merge.ready()
        while batch := list(islice(ready, _BATCH)):
            yield batch
        full = merge.full()
        reader.pause(full - paused)
        reader.resume(paused - full)
        paused = full


def _advance(positions: dict[Partition, int], run: str, record: Record) -> None:
    """Move past a record. Raises RunError for one that was passed before, because then the topic is another one."""
    if record.offset < positions[record.place]:
        raise RunError(
            f"{record.topic}/{record.partition} of run {run!r} was read up to {positions[record.place]} and continues "
            f"at {record.offset}: the topic was created again meanwhile. Start again to read the new one."
        )
    positions[record.place] = record.offset + 1


def in_time_order(record: Record) -> tuple[int, int, str, int, int]:
    """The key by which records are merged: time, then causes before effects, then their place."""
    rank = _RANK.get(record.topic, len(_RANK))
    return (record.timestamp_ms, rank, record.topic, record.partition, record.offset)
