"""A record as it lies on the log, whoever delivered it: a Kafka client, an archive, a test.

What it holds is read when first asked for, so that whoever only passes records on, or only compares their bytes, does
not pay for it. Reading never raises: a record that does not decode, or does not belong where it stands
(`infra.log.placement`), says so in `error` and holds no event for anybody.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from infra.log.placement import require_place
from schemas.envelope import Decoded, decode
from schemas.errors import SchemaError
from schemas.events import Event

Headers = tuple[tuple[str, bytes], ...]
Partition = tuple[str, int]
"""A topic's short name and a partition of it."""


class Record:
    """Where a record stands, and its bytes; `topic` is the short name. One of `decoded` and `error` is set."""

    __slots__ = ("_decoded", "_error", "headers", "key", "offset", "partition", "timestamp_ms", "topic", "value")

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.key = key
        self.value = value
        self.headers: Headers = tuple(headers)
        self._decoded: Decoded | None = None
        self._error: SchemaError | None = None

    @property
    def decoded(self) -> Decoded | None:
        """The event with its envelope; None for a record that does not read as what it says it is, here."""
        if self._decoded is None and self._error is None:
            try:
                decoded = decode(self.key, self.value, self.headers)
                require_place(self.topic, self.partition, decoded)
                self._decoded = decoded
            except SchemaError as error:
                self._error = error
        return self._decoded

    @property
    def error(self) -> SchemaError | None:
        return self._error if self.decoded is None else None

    @property
    def event(self) -> Event | None:
        decoded = self.decoded
        return None if decoded is None else decoded.event

    @property
    def id(self) -> str:
        """The event's id; empty for a record that does not decode."""
        decoded = self.decoded
        return "" if decoded is None else decoded.meta.id

    @property
    def place(self) -> Partition:
        """The partition it stands in."""
        return self.topic, self.partition

    def __repr__(self) -> str:
        return f"Record({self.topic}/{self.partition}@{self.offset})"


def now() -> str:
    """The time as CloudEvents wants it: RFC 3339 in UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
