"""Dead letters: the format of a record on `<topic>.dlq`, and how it is read back.

A dead letter has the record's own value, key and headers, followed by five headers: its origin, the error and the time.
They always come last, so they are separable from the record's own, whatever those are called. A dead letter without the
record's content (`dlq_left_out`) only names its origin. That is for records that clients read but do not write: without
key and value, with a header without value, or too large for five more headers. The record is still at its origin,
because a run's topics delete nothing.

A *mark* on `<topic>.dlq` records that a dead letter was written back to its topic. It has the same origin, and its last
header is `dlq_mark`.

A dead letter is identified by its origin, (partition, offset): a crash may write the same one twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.log.record import Headers, Record, now

SUFFIX = ".dlq"
RETRY_OF = "sedi_retry_of"
"""Header of a record that was written back: its dead letter, `generated.dlq@12`."""

NO_VALUE = b""
"""The value of marks and of dead letters without content: clients write no record without key and value."""

_ADDED = ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error", "dlq_time")
_MARK = "dlq_mark"
_LEFT_OUT = "dlq_left_out"
_ERROR_SHOWN = 2_000


@dataclass(frozen=True)
class DeadLetter:
    """One record on a dead-letter topic.

    topic, offset          its own position: `offset` on `<topic>.dlq`
    partition, came_from   the origin: partition and offset on `topic`
    error, time            why and when it was written
    left_out               it has no content; the record is still at its origin
    """

    topic: str
    offset: int
    partition: int
    came_from: int
    error: str
    time: str
    left_out: bool

    @property
    def origin(self) -> tuple[int, int]:
        return self.partition, self.came_from


@dataclass(frozen=True)
class Mark:
    """The dead letters of one origin were written back: at which offset, when."""

    topic: str
    origin: tuple[int, int]
    retried_as: int
    time: str


def dead_letter_headers(topic: str, partition: int, offset: int, error: str) -> list[tuple[str, bytes]]:
    """The five headers that a dead letter adds to its record's own."""
    values = (topic, str(partition), str(offset), error[:_ERROR_SHOWN], now())
    return [(name, value.encode(errors="backslashreplace")) for name, value in zip(_ADDED, values, strict=True)]


def left_out_headers(added: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The headers of a dead letter without content; its value is `NO_VALUE`."""
    return [(_LEFT_OUT, b"the record is still where it came from"), *added]


def can_be_written(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether Kafka's Python clients write such a record; they read any."""
    return not (key is None and value is None) and all(header is not None for _, header in headers)


def mark_headers(topic: str, origin: tuple[int, int], retried_as: int) -> list[tuple[str, bytes]]:
    """The headers of a mark for the dead letters of one origin."""
    partition, offset = origin
    values = {
        "dlq_topic": topic,
        "dlq_partition": partition,
        "dlq_offset": offset,
        "dlq_time": now(),
        "dlq_retried_as": retried_as,
        _MARK: "retried",
    }
    return [(name, str(value).encode()) for name, value in values.items()]


def parse(record: Record) -> DeadLetter | Mark | None:
    """Parse a record of a dead-letter topic; None for one that this project did not write."""
    topic = record.topic.removesuffix(SUFFIX)
    try:
        if record.headers and record.headers[-1][0] == _MARK:
            values = {name: value.decode() for name, value in record.headers}
            origin = int(values["dlq_partition"]), int(values["dlq_offset"])
            return Mark(topic, origin, int(values["dlq_retried_as"]), values["dlq_time"])
        added = record.headers[-len(_ADDED) :]
        if tuple(name for name, _ in added) != _ADDED:
            return None
        came_from, partition, offset, error, time = (value.decode() for _, value in added)
        if came_from != topic:
            return None
        left_out = [name for name, _ in own_headers(record)] == [_LEFT_OUT] and record.value == NO_VALUE
        return DeadLetter(topic, record.offset, int(partition), int(offset), error, time, left_out)
    except (ValueError, AttributeError, KeyError):  # our header names with other content
        return None


def origins(records: Iterable[Record]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """The origins, (partition, offset), of the dead letters among records: those waiting, and those put back."""
    letters, marked = set(), set()
    for record in records:
        match parse(record):
            case DeadLetter(origin=origin):
                letters.add(origin)
            case Mark(origin=origin):
                marked.add(origin)
            case None:
                pass
    return letters - marked, letters & marked


def own_headers(record: Record) -> Headers:
    """The record's own headers, without those that its dead letter added."""
    return record.headers[: -len(_ADDED)]


def as_it_was(letter: DeadLetter, record: Record) -> Record:
    """The original record of the dead letter `record`, at its origin."""
    return Record(
        letter.topic,
        letter.partition,
        letter.came_from,
        record.timestamp_ms,
        record.key,
        record.value,
        own_headers(record),
    )
