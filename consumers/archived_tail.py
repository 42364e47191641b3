"""The events of an archived run, merged by time as `consumers.tail` merges them, in bounded memory."""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile, islice

from consumers.tail import TailOptions, in_time_order, wanted
from infra.log.record import Partition, Record
from infra.log.source import Reading, Source

_BATCH = 100


def archived(source: Source, options: TailOptions) -> Iterator[Sequence[Record]]:
    """The records asked for of an archive, merged by time as `follow` does, to its end. Nothing comes after that."""
    with source.open(options.topics_read) as reading:
        for (topic, partition), end in reading.ends().items():
            if options.last is None and options.since_ms is None and options.start != "start":
                reading.seek(topic, partition, end if options.start == "end" else options.start)
        partitions = (_since(reading, place, options.since_ms) for place in sorted(reading.ends()))
        merged = heapq.merge(*partitions, key=in_time_order)
        found: Iterator[Record] = (record for record in merged if wanted(record, options))
        if options.last is not None:
            found = iter(deque(found, options.last))
        found = islice(found, options.count)
        while batch := list(islice(found, _BATCH)):
            yield batch


def _since(reading: Reading, place: Partition, since_ms: int | None) -> Iterator[Record]:
    """What is left of a partition, from its first record at or after that time on."""
    rest = iter(lambda: reading.next(*place), None)
    return rest if since_ms is None else dropwhile(lambda record: record.timestamp_ms < since_ms, rest)
