"""Following a run's events, several topics merged by time.

What is already on the log is merged exactly: a record is given out once every partition that still has history has
shown its next one, so the order is that of the timestamps, then of the topics as cause and effect, then of the
offsets. What comes later is given out as it arrives, each batch in the same order; between batches it may differ by
the moment that Kafka took to hand a record over. Records are fetched, never pushed, so a burst only makes it fall
behind. Reading changes nothing: no group, no offsets stored, except in a bookmark (`consumers.bookmark`).
"""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from consumers.bookmark import Bookmark
from consumers.conditions import ENVELOPE, Condition, require_known
from infra.cluster.admin import offsets_at
from infra.log.reader import LogReader
from infra.log.record import Partition, Record
from infra.log.source import TOPICS, dead_letter_topics
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError
from schemas.registry import SPECS

_AHEAD = 5_000  # records of a partition that wait for others before its fetching is paused
_BATCH = 100  # records of history that are handed out at a time; more of them decoded at once are slower
_STALL_S = 30.0
_RANK = {topic: rank for rank, topic in enumerate(TOPICS)}


@dataclass(frozen=True)
class TailOptions:
    """What to follow.

    start       `start`, `end`, or an offset in each partition; `since_ms`, when given, comes first
    last        begin with the last so many events of those asked for; `start` and `since_ms` then say nothing
    until_end   end where the log ended when the following began
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
                raise ConfigurationError(f"There is no topic {topic!r} in a run. Choose of {', '.join(sorted(known))}.")
        for name in self.types:
            if name not in SPECS:
                raise ConfigurationError(f"There is no event type {name!r}. Choose of {', '.join(sorted(SPECS))}.")
        if not self.topics_read:
            there = ", ".join(f"{name} on {SPECS[name].topic}" for name in sorted(self.types))
            raise ConfigurationError(f"Nothing of these types is on {', '.join(self.topics)}. There is {there}.")
        for condition in self.where:
            require_known(condition, self.types)

    @property
    def topics_read(self) -> tuple[str, ...]:
        """The topics that can hold what is asked for: a type has its one topic; a dead letter may be of any."""
        holding = {SPECS[name].topic for name in self.types}
        return tuple(topic for topic in self.topics if not holding or topic in holding or topic not in TOPICS)


@dataclass(frozen=True)
class TailBatch:
    """Records to show, and the offset that each partition goes on from once they are shown."""

    records: Sequence[Record]
    positions: Mapping[Partition, int]


def follow(settings: Settings, run: str, options: TailOptions, bookmark: Bookmark | None = None) -> Iterator[TailBatch]:
    """The records asked for; without `until_end` or `count` it never ends by itself.

    With a bookmark it begins there, and where the options say in partitions that the bookmark does not know. The first
    batch is empty and says where that is; while nothing new comes there is an empty one about twice a second. A record
    that cannot be read is among them (with its `error`) unless types or conditions are given. Raises RunError when
    there is no such run, the bookmark does not fit it, or a topic was made anew meanwhile; BrokerError when the cluster
    does not answer.
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
    """The record as one JSON object: where it stands, its envelope, and the event under `data`."""
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
    """Merges partitions, each in its own order, by time. `waiting` are those whose next record is still to come."""

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
        """These partitions have shown all their records."""
        self.waiting.difference_update(partitions)
        self._bare &= self.waiting

    def full(self) -> set[Partition]:
        """Partitions of which so much waits for others that no more of them is needed now."""
        return {place for place in self.waiting if len(self._queues.get(place, ())) > _AHEAD}

    def ready(self) -> Iterator[Record]:
        """What nothing that is still to come can stand before; removes it."""
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
    """Whether a record is among those asked for. Decodes it only when that is needed to tell."""
    if not options.types and not options.where:
        return True
    if options.types and not _claims(record, options.types):
        return False
    if record.decoded is None:
        return False
    if not options.where:
        return True
    event, envelope = record.decoded.event, _envelope(record)
    return all(condition.holds(event, envelope) for condition in options.where)


def _claims(record: Record, types: frozenset[str]) -> bool:
    prefixes = tuple(f"sedi.{name}.v".encode() for name in types)
    return any(name == "ce_type" and value.startswith(prefixes) for name, value in record.headers)


def _envelope(record: Record) -> dict[str, Any]:
    line = as_line(record)
    return {name: line[name] for name in ENVELOPE}


def _begin(
    settings: Settings,
    run: str,
    options: TailOptions,
    reader: LogReader,
    ends: Mapping[Partition, int],
    bookmark: Bookmark | None,
) -> dict[Partition, int]:
    """Put the reader where the options and the bookmark say; where that is."""
    starts = reader.starts()
    if options.last is not None:
        # Of each partition no more than that many can be among them, unless some are left out.
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
    """What stands before `ends`, merged by time; what came with it from behind them goes into `later`."""
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
    """Go past a record. Raises RunError for one that was passed before: the log is not the one that was followed."""
    if record.offset < positions[record.place]:
        raise RunError(
            f"{record.topic}/{record.partition} of run {run!r} was read up to {positions[record.place]} and goes on at "
            f"{record.offset}: the topic was made anew meanwhile. Start again to read it as it is now."
        )
    positions[record.place] = record.offset + 1


def in_time_order(record: Record) -> tuple[int, int, str, int, int]:
    """The key by which records are merged: time, then causes before effects, then their place."""
    rank = _RANK.get(record.topic, len(_RANK))
    return (record.timestamp_ms, rank, record.topic, record.partition, record.offset)
