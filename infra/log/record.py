"""A record of the log, from any source: a Kafka client, an archive, a test.

It is decoded lazily, so code that only copies or compares bytes does not pay for it. Decoding never raises: a record
that does not decode, or is in the wrong place (`infra.log.placement`), has an `error` and no event.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from infra.log.placement import require_place
from schemas.envelope import Decoded, decode
from schemas.errors import SchemaError
from schemas.events import Event
from schemas.registry import spec_of

Headers = tuple[tuple[str, bytes], ...]
Partition = tuple[str, int]
"""A topic's short name and a partition of it."""


class Record:
    """A record's position and bytes; `topic` is the short name. One of `decoded` and `error` is set."""

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
        """The event with its envelope; None for a record with an `error`."""
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

    def names(self, cls: type[Event]) -> bool:
        """Whether its header names this class, in any version. Nothing is decoded, so it may turn out unreadable."""
        start = f"sedi.{spec_of(cls).name}.v".encode()
        return any(name == "ce_type" and value.startswith(start) for name, value in self.headers)

    @property
    def id(self) -> str:
        """The event's id; empty for a record that does not decode."""
        decoded = self.decoded
        return "" if decoded is None else decoded.meta.id

    @property
    def place(self) -> Partition:
        """Its topic and partition."""
        return self.topic, self.partition

    def __repr__(self) -> str:
        return f"Record({self.topic}/{self.partition}@{self.offset})"


def now() -> str:
    """The current time as in CloudEvents: RFC 3339 in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
