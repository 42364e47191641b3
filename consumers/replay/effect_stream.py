"""One partition of the log in offset order, and what a record of it holds, compared by bytes where that is enough."""

from collections.abc import Iterator

import msgspec

from consumers.replay.findings import Findings
from infra.log.record import Record
from infra.log.source import Reading
from schemas.errors import BrokerError
from schemas.events import Event, InstructionKept, InstructionsRejected
from schemas.registry import spec_of

_SPEC_VERSION = ("ce_specversion", b"1.0")
_TYPES: dict[type[Event], tuple[str, bytes]] = {
    cls: ("ce_type", f"sedi.{spec_of(cls).name}.v{spec_of(cls).version}".encode())
    for cls in (InstructionKept, InstructionsRejected)
}


class EffectStream:
    """One partition's records in offset order; missing offsets are reported."""

    def __init__(self, reading: Reading, topic: str, partition: int, findings: Findings) -> None:
        self.topic = topic
        self.partition = partition
        self.records = 0
        self.end = reading.ends()[topic, partition]
        self._reading = reading
        self._findings = findings
        self._next_offset = 0

    def take(self) -> Record | None:
        """The next record; None at the end of what is covered."""
        record = self._reading.next(self.topic, self.partition)
        offset = self.end if record is None else record.offset
        if offset > self._next_offset:
            place = self.topic, self.partition, self._next_offset
            what = f"{_offsets(self._next_offset, offset - 1)} of {self.topic}/{self.partition} not on the log."
            self._findings.diverged("removed", place, self._findings.state().applied + 1, what)
        if record is not None:
            self._next_offset = offset + 1
            self.records += 1
        else:
            self._next_offset = self.end
        return record

    def again(self) -> Iterator[Record]:
        """All records that were taken, once more; to be read to the end. `take` goes on where it was."""
        self._reading.seek(self.topic, self.partition, self._reading.starts()[self.topic, self.partition])
        for _ in range(self.records):
            record = self._reading.next(self.topic, self.partition)
            if record is None:
                raise BrokerError(
                    f"{self.topic}/{self.partition} has fewer records than a moment ago. Does its topic delete records "
                    "(retention.ms, retention.bytes)? A run's topics must keep all of them."
                )
            yield record


def _offsets(first: int, last: int) -> str:
    return f"Offset {first} is" if first == last else f"Offsets {first} to {last} are"


def holds(record: Record, event: Event, value: bytes, id: str, key: str) -> bool:
    """Whether the record holds exactly this event, whose current encoding is `value`, with its id and key.

    Bytes in today's encoding decide; otherwise the record is decoded.
    """
    headers = record.headers
    if record.value == value and len(headers) >= 7:
        raw_id, raw_key = id.encode(), key.encode()
        if (
            record.key == raw_key
            and headers[0] == _SPEC_VERSION
            and headers[1] == ("ce_id", raw_id)
            and headers[2] == _TYPES[type(event)]
            and headers[3][0] == "ce_source"
            and headers[4][0] == "ce_time"
            and headers[5] == ("ce_subject", raw_key)
            and headers[3][1]
            and headers[4][1]
        ):
            return True
    decoded = record.decoded
    return decoded is not None and decoded.event == event and decoded.meta.id == id and decoded.key == key


def content(record: Record) -> bytes | None:
    """A record's event as it would be written today: older versions encode the same event in other bytes."""
    if record.headers[2:3] and record.headers[2] in _TYPES.values():
        return record.value
    decoded = record.decoded
    if decoded is None or decoded.version == spec_of(type(decoded.event)).version:
        return record.value
    return msgspec.json.encode(decoded.event)


class Cause(msgspec.Struct):
    """What an effect comes from: a record of `generated`, and for a kept row the place in it."""

    generated_offset: int
    place: int = -1
    generation_id: str = ""


_cause = msgspec.json.Decoder(Cause)
_row = msgspec.json.Decoder(InstructionKept)


def cause_of(
    record: Record, cls: type[InstructionKept] | type[InstructionsRejected], findings: Findings
) -> Cause | None:
    """The cause of an event of this class; None, and reported as unreadable, for another record."""
    if len(record.headers) > 2 and record.headers[2] == _TYPES[cls] and record.value is not None:
        try:
            return _cause.decode(record.value)
        except msgspec.MsgspecError:
            pass
    event = record.event
    if isinstance(event, cls):
        return Cause(event.generated_offset, getattr(event, "place", -1), event.generation_id)
    findings.cannot_read_as(record, cls)
    return None


def row_of(record: Record) -> InstructionKept | None:
    """The row that a record of `kept` holds; None when it holds none."""
    if record.headers[2:3] == (_TYPES[InstructionKept],) and record.value is not None:
        try:
            return _row.decode(record.value)
        except msgspec.MsgspecError:
            return None
    return record.event if isinstance(record.event, InstructionKept) else None
