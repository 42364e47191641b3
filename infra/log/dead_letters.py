"""Dead letters: what a record becomes on `<topic>.dlq`, and how it is read back.

A dead letter is the record as it was, its bytes, key and headers, and after these five headers that say where it came
from, why and when. They are always the last, so that what the record itself had is told from what was added, whatever
its own headers were called. A record that cannot be written again like that is left where it is, and its dead letter
only names it (`dlq_left_out`): one so large that the cluster would not take it with five more headers, and one without
key and value, or with a header without a value, which the clients read but refuse to write. Nothing is deleted from a
run's topics, so it stays there.

A *mark* says that a dead letter was put back on its topic. It stands on the same `<topic>.dlq`, carries the same place,
and its last header is `dlq_mark`.

Where a record came from, (partition, offset), tells dead letters apart: after crashes the same one may stand twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.log.record import Headers, Record, now

SUFFIX = ".dlq"
RETRY_OF = "sedi_retry_of"
"""Header of a record that was put back: the dead letter that it comes from, `generated.dlq@12`."""

NO_VALUE = b""
"""The value of marks, and of dead letters that only name a record: a client writes none without key and value."""

_ADDED = ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error", "dlq_time")
_MARK = "dlq_mark"
_LEFT_OUT = "dlq_left_out"
_ERROR_SHOWN = 2_000


@dataclass(frozen=True)
class DeadLetter:
    """One record on a dead-letter topic.

    topic, offset          where it stands: on `<topic>.dlq`, at `offset`
    partition, came_from   where its record stands on `topic`
    error, time            why and when it was put aside
    left_out               the record could not be written here; it is still where it came from
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
    """That the dead letters from one place were put back: as which offset, when."""

    topic: str
    origin: tuple[int, int]
    retried_as: int
    time: str


def dead_letter_headers(topic: str, partition: int, offset: int, error: str) -> list[tuple[str, bytes]]:
    """What a dead letter says of itself besides what it was: where from, why, when."""
    values = (topic, str(partition), str(offset), error[:_ERROR_SHOWN], now())
    return [(name, value.encode(errors="backslashreplace")) for name, value in zip(_ADDED, values, strict=True)]


def left_out_headers(added: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The headers of a dead letter that only names its record; its value is `NO_VALUE`."""
    return [(_LEFT_OUT, b"the record is still where it came from"), *added]


def can_be_written(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether Kafka's Python clients write such a record; they read any."""
    return not (key is None and value is None) and all(said is not None for _, said in headers)


def mark_headers(topic: str, origin: tuple[int, int], retried_as: int) -> list[tuple[str, bytes]]:
    """The headers of the record that marks the dead letters from one place as put back."""
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
    """What a record of a dead-letter topic is; None for one that no reader of this project put there."""
    topic = record.topic.removesuffix(SUFFIX)
    try:
        if record.headers and record.headers[-1][0] == _MARK:
            said = {name: value.decode() for name, value in record.headers}
            origin = int(said["dlq_partition"]), int(said["dlq_offset"])
            return Mark(topic, origin, int(said["dlq_retried_as"]), said["dlq_time"])
        added = record.headers[-len(_ADDED) :]
        if tuple(name for name, _ in added) != _ADDED:
            return None
        came_from, partition, offset, error, time = (value.decode() for _, value in added)
        if came_from != topic:
            return None
        left_out = [name for name, _ in own_headers(record)] == [_LEFT_OUT] and record.value == NO_VALUE
        return DeadLetter(topic, record.offset, int(partition), int(offset), error, time, left_out)
    except (ValueError, AttributeError, KeyError):  # headers that look like ours and hold something else
        return None


def not_put_back(records: Iterable[Record]) -> set[tuple[int, int]]:
    """Where the records of some dead letters came from, (partition, offset), but for those with a mark among these."""
    letters, marked = set(), set()
    for record in records:
        match parse(record):
            case DeadLetter(origin=origin):
                letters.add(origin)
            case Mark(origin=origin):
                marked.add(origin)
            case None:
                pass
    return letters - marked


def own_headers(record: Record) -> Headers:
    """The headers that the record of a dead letter had itself."""
    return record.headers[: -len(_ADDED)]


def as_it_was(letter: DeadLetter, record: Record) -> Record:
    """The record that `record`, a dead letter, was made of, as it stood where it came from."""
    return Record(
        letter.topic,
        letter.partition,
        letter.came_from,
        record.timestamp_ms,
        record.key,
        record.value,
        own_headers(record),
    )
