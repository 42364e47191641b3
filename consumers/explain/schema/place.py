"""Places: of a record on the log, of characters in a text."""

import msgspec

from infra.log.record import Record

Span = tuple[int, int]
"""Characters [start, end)."""


class RecordPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A record's place on the log, and when it was written."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def place_of(record: Record) -> RecordPlace:
    return RecordPlace(
        topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp_ms
    )
