"""Looks up records in an index by their offsets, and what came after a position.

A position is the next offset of each partition. It is what a server-sent event has as its id, so a page that lost its
connection, was loaded again or was paused goes on exactly there. Text form: `kept/0:12,kept/1:7`.
"""

import heapq
import re
import sqlite3
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice

import msgspec

from consumers.tail import in_time_order
from infra.log.record import Partition, Record
from schemas.errors import ConfigurationError

PAGE = 200
_PLACE = re.compile(r"([a-z.-]{1,40})/([0-9]{1,6}):([0-9]{1,18})")


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A record in a line; `error` of one that cannot be read, `repeated` of one that does not count."""

    topic: str
    part: int
    at: int
    ms: int
    type: str | None
    id: str
    key: str | None
    summary: str | None
    error: str | None
    repeated: bool


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Records in the order of `sedi tail`, the position after them, and the one before them."""

    lines: tuple[LogLine, ...]
    after: str
    first: str


def position_text(positions: Mapping[Partition, int]) -> str:
    return ",".join(f"{topic}/{part}:{at}" for (topic, part), at in sorted(positions.items()))


def parse_position(text: str) -> dict[Partition, int]:
    """Raises ConfigurationError for a text that is no position."""
    found: dict[Partition, int] = {}
    for one in filter(None, text.split(",")):
        match = _PLACE.fullmatch(one)
        if match is None:
            raise ConfigurationError(f"{one[:60]!r} is no position. Give TOPIC/PARTITION:OFFSET, as kept/0:12.")
        found[match[1], int(match[2])] = int(match[3])
    return found


def after(
    connection: sqlite3.Connection, ends: Mapping[Partition, int], positions: Mapping[Partition, int], limit: int = PAGE
) -> LogLines:
    """The first records at or after a position, of the partitions of `ends`; one that it does not name begins at 0."""
    begun = {place: positions.get(place, 0) for place in ends}
    query = f"{_SELECT} AND at >= ? ORDER BY at LIMIT ?"
    merged = heapq.merge(*(_lines(connection, query, place, at, limit) for place, at in begun.items()), key=_order)
    lines = tuple(islice(merged, limit))
    reached = dict(begun)
    for line in lines:
        reached[line.topic, line.part] = line.at + 1
    return LogLines(lines=lines, after=position_text(reached), first=position_text(begun))


def from_place(
    connection: sqlite3.Connection, ends: Mapping[Partition, int], named: Mapping[Partition, int]
) -> dict[Partition, int]:
    """The position at some named places, where every other partition is at the time of the first of them.

    Raises ConfigurationError for a place that is in none of the partitions of `ends`.
    """
    unknown = next((place for place in named if place not in ends), None)
    if unknown is not None:
        raise ConfigurationError(f"{unknown[0]}/{unknown[1]} is not shown. Choose its topic, or another place.")
    times = [ms for place, at in named.items() if (ms := _ms_at(connection, place, at)) is not None]
    return {**(from_time(connection, ends, min(times)) if times else ends), **named}


def from_time(connection: sqlite3.Connection, ends: Mapping[Partition, int], ms: int) -> dict[Partition, int]:
    """The position at a time: of each partition the first record that is not older, by bisection, since the records of
    a partition are in the order of their times."""
    return {
        place: bisect_left(range(end), ms, key=partial(_ms_or_later, connection, place)) for place, end in ends.items()
    }


def _ms_at(connection: sqlite3.Connection, place: Partition, at: int) -> int | None:
    """When the first record at or after an offset was written; None: there is none."""
    query = "SELECT ms FROM record WHERE topic = ? AND part = ? AND at >= ? ORDER BY at LIMIT 1"
    found = connection.execute(query, (*place, at)).fetchone()
    return None if found is None else int(found["ms"])


def _ms_or_later(connection: sqlite3.Connection, place: Partition, at: int) -> int:
    found = _ms_at(connection, place, at)
    return sys.maxsize if found is None else found


def before(
    connection: sqlite3.Connection, ends: Mapping[Partition, int], positions: Mapping[Partition, int], limit: int = PAGE
) -> LogLines:
    """The last records before a position, of the partitions of `ends`; one that it does not name ends at its end."""
    given = {place: positions.get(place, end) for place, end in ends.items()}
    query = f"{_SELECT} AND at < ? ORDER BY at DESC LIMIT ?"
    each = (_lines(connection, query, place, at, limit) for place, at in given.items())
    merged = list(islice(heapq.merge(*each, key=_order, reverse=True), limit))
    begun = dict(given)
    for line in merged:  # each partition backwards, whatever the times of its records
        begun[line.topic, line.part] = line.at
    return LogLines(lines=tuple(reversed(merged)), after=position_text(given), first=position_text(begun))


_COLUMNS = LogLine.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM record WHERE topic = ? AND part = ?"


def _lines(connection: sqlite3.Connection, query: str, place: Partition, at: int, limit: int) -> Iterator[LogLine]:
    for found in connection.execute(query, (*place, at, limit)):
        yield LogLine(**{**dict(found), "repeated": bool(found["repeated"])})


def _order(line: LogLine) -> tuple[int, int, str, int, int]:
    return in_time_order(Record(line.topic, line.part, line.at, line.ms, None, None))
