"""Following a run's events, several topics merged by time.

What is already on the log is merged exactly: a record is given out once every partition that still has history has
shown its next one, so the order is that of the timestamps, then of the topics as cause and effect, then of the
offsets. What comes later is given out as it arrives, each batch in the same order; between batches it may differ by
the moment that Kafka took to hand a record over. Reading changes nothing: no group, no offsets stored.
"""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from infra.admin import offsets_at
from infra.log import LogReader
from infra.record import Partition, Record
from infra.settings import Settings
from infra.source import TOPICS, dead_letter_topics
from schemas.errors import BrokerError, ConfigurationError
from schemas.registry import SPECS

STALL_S = 30.0
_RANK = {topic: rank for rank, topic in enumerate(TOPICS)}
_ENVELOPE = ("topic", "partition", "offset", "type", "id", "key", "source", "causation_id")


@dataclass(frozen=True)
class Condition:
    """`path` is a dotted way into an event's fields, or the name of a part of the envelope; lists match by any item."""

    path: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class TailOptions:
    """What to follow.

    start       `start`, `end`, or an offset in each partition; `since_ms`, when given, comes first
    until_end   end where the log ended when the following began
    count       end after so many events
    """

    topics: tuple[str, ...] = TOPICS
    types: frozenset[str] = frozenset()
    where: tuple[Condition, ...] = ()
    start: Literal["start", "end"] | int = "end"
    since_ms: int | None = None
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
        for condition in self.where:
            _require_known(condition, self.types)


def condition(text: str) -> Condition:
    """Read `FIELD=VALUE`, as in `cluster=3` or `rejections.reason=similar`."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise ConfigurationError(f"Condition {text!r} is not FIELD=VALUE. Write one such as cluster=3 or topic=kept.")
    return Condition(tuple(path.split(".")), value)


def follow(settings: Settings, run: str, options: TailOptions) -> Iterator[Record]:
    """The records asked for; without `until_end` or `count` it never ends by itself.

    A record that cannot be read is among them (with its `error`) unless types or conditions are given.
    Raises RunError when there is no such run, BrokerError when the cluster does not answer.
    """
    left = options.count
    with LogReader(settings, run, options.topics, "tail") as reader:
        for record in _records(settings, run, options, reader):
            if left == 0:
                return
            if not wanted(record, options):
                continue
            yield record
            if left is not None:
                left -= 1
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

    def push(self, record: Record) -> None:
        partition = (record.topic, record.partition)
        queue = self._queues.setdefault(partition, deque())
        queue.append(record)
        if len(queue) == 1:
            heapq.heappush(self._heads, (_order(record), record))

    def finish(self, partitions: Iterable[Partition]) -> None:
        """These partitions have shown all their records."""
        self.waiting.difference_update(partitions)

    def ready(self) -> Iterator[Record]:
        """What nothing that is still to come can stand before; removes it."""
        while self._heads and all(self._queues.get(partition) for partition in self.waiting):
            _, record = heapq.heappop(self._heads)
            queue = self._queues[record.topic, record.partition]
            queue.popleft()
            if queue:
                heapq.heappush(self._heads, (_order(queue[0]), queue[0]))
            yield record


def _records(settings: Settings, run: str, options: TailOptions, reader: LogReader) -> Iterator[Record]:
    ends = reader.ends()
    _seek(settings, run, options, reader, ends)
    merge = TimeMerge({partition for partition, end in ends.items() if reader.position(*partition) < end})
    later: list[Record] = []
    moved = time.monotonic()
    while merge.waiting:
        records = reader.poll()
        if records:
            moved = time.monotonic()
        elif time.monotonic() - moved > STALL_S:
            left = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(merge.waiting))
            raise BrokerError(f"Reading {left} got nothing for {STALL_S:.0f} s. See `sedi broker status`.")
        for record in records:
            if record.offset < ends[record.topic, record.partition]:
                merge.push(record)
            else:
                later.append(record)
        merge.finish([partition for partition in merge.waiting if reader.position(*partition) >= ends[partition]])
        yield from merge.ready()
    if options.until_end:
        return
    yield from sorted(later, key=_order)
    while True:
        yield from sorted(reader.poll(), key=_order)


def _seek(settings: Settings, run: str, options: TailOptions, reader: LogReader, ends: dict[Partition, int]) -> None:
    if options.since_ms is not None:
        found = offsets_at(settings, run, options.topics, options.since_ms)
        for partition, end in ends.items():
            reader.seek(*partition, min(found.get(partition, end), end))
    elif options.start == "end":
        for partition, end in ends.items():
            reader.seek(*partition, end)
    elif options.start != "start":
        for partition, end in ends.items():
            reader.seek(*partition, min(options.start, end))


def _order(record: Record) -> tuple[int, int, str, int, int]:
    rank = _RANK.get(record.topic, len(_RANK))
    return (record.timestamp_ms, rank, record.topic, record.partition, record.offset)


def wanted(record: Record, options: TailOptions) -> bool:
    if record.decoded is None:
        return not options.types and not options.where
    if options.types and type(record.decoded.event).__name__ not in options.types:
        return False
    if not options.where:
        return True
    data = msgspec.to_builtins(record.decoded.event)
    envelope = {name: value for name, value in as_line(record).items() if name != "data"}
    return all(
        _matches(data if condition.path[0] in data else envelope, condition.path, condition.value)
        for condition in options.where
    )


def _matches(found: Any, path: tuple[str, ...], value: str) -> bool:
    if isinstance(found, list | tuple):
        return any(_matches(item, path, value) for item in found)
    if not path:
        return _text(found) == value
    return isinstance(found, dict) and path[0] in found and _matches(found[path[0]], path[1:], value)


def _text(scalar: Any) -> str:
    return scalar if isinstance(scalar, str) else msgspec.json.encode(scalar).decode()


def _require_known(condition: Condition, types: frozenset[str]) -> None:
    """A field that no event has would match nothing for ever."""
    classes = [spec.cls for name, spec in SPECS.items() if not types or name in types]
    fields = {name for cls in classes for name in cls.__struct_fields__}
    if condition.path[0] not in fields and condition.path[0] not in _ENVELOPE:
        raise ConfigurationError(
            f"No event has a field {condition.path[0]!r}. Choose of {', '.join(sorted(fields | set(_ENVELOPE)))}."
        )
