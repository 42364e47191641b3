"""The effects on the log, in the order of their causes: what stands there for each record of `generated`.

A partition is read in offset order; missing offsets are told. `RejectedEffects` gives the filter's word on an offset of
`generated`, `KeptEffects` the kept rows of it, each found by decoding no more than where it belongs: whoever compares
the bytes of an event with what it should be need not read it. Repeats are checked to say what was said before.
"""

from array import array
from collections import deque

import msgspec

from consumers.replay.digests import digest
from consumers.replay.findings import Findings, place_of
from consumers.replay.repeats import report_repeat
from infra.log.record import Record
from infra.log.source import Reading
from schemas.errors import MalformedEvent
from schemas.events import Event, InstructionKept, InstructionsRejected
from schemas.registry import spec_of

_LOOK_AHEAD = 64  # how far an event is looked for behind where it should stand
_PLACE_BITS = 20  # a row's position in the total order as one number: many of them are remembered


class EffectStream:
    """One partition's records in offset order, with what is missing told."""

    def __init__(self, reading: Reading, topic: str, partition: int, findings: Findings) -> None:
        self.topic = topic
        self.partition = partition
        self._reading = reading
        self._findings = findings
        self._next_offset = 0
        self._end = reading.ends()[topic, partition]
        self.records = 0

    def take(self) -> Record | None:
        """The next record; None at the end of what is covered."""
        record = self._reading.next(self.topic, self.partition)
        offset = self._end if record is None else record.offset
        if offset > self._next_offset:
            self._findings.diverged(
                "removed",
                (self.topic, self.partition, self._next_offset),
                self._findings.state().applied + 1,
                f"{_offsets(self._next_offset, offset - 1)} of {self.topic}/{self.partition} not on the log.",
            )
        if record is not None:
            self._next_offset = offset + 1
            self.records += 1
        else:
            self._next_offset = self._end
        return record


def _offsets(first: int, last: int) -> str:
    return f"Offset {first} is" if first == last else f"Offsets {first} to {last} are"


def says(record: Record, event: Event, value: bytes, id: str, key: str) -> bool:
    """Whether the record holds exactly this event, whose current encoding is `value`, with its id and key.

    The bytes decide where they are as they are written today; else the record is decoded.
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


_SPEC_VERSION = ("ce_specversion", b"1.0")
_TYPES: dict[type[Event], tuple[str, bytes]] = {
    cls: ("ce_type", f"sedi.{spec_of(cls).name}.v{spec_of(cls).version}".encode())
    for cls in (InstructionKept, InstructionsRejected)
}


def content(record: Record) -> bytes | None:
    """What a record says, as it would be written today: an older version of an event says the same in other bytes."""
    if record.headers[2:3] and record.headers[2] in _TYPES.values():
        return record.value
    decoded = record.decoded
    if decoded is None or decoded.version == spec_of(type(decoded.event)).version:
        return record.value
    return msgspec.json.encode(decoded.event)


class _Cause(msgspec.Struct):
    generated_offset: int
    place: int = -1
    generation_id: str = ""


_cause = msgspec.json.Decoder(_Cause)
_row = msgspec.json.Decoder(InstructionKept)


class RejectedEffects:
    """`rejected`, in the order of `generated`.

    nothing   whether the last word given is that there was nothing to decide
    """

    def __init__(self, stream: EffectStream, findings: Findings) -> None:
        self.nothing = False
        self._stream = stream
        self._findings = findings
        self._queue: deque[tuple[_Cause, Record]] = deque()
        self._said = array("Q")  # a digest of what was said on each offset, to compare repeats with; 0 for nothing

    def on(self, offset: int) -> Record | None:
        """The filter's word on an offset; None when it is not on the log although later ones are.

        Raises EndOfVerdicts when the log holds no word on it nor on any later one.
        """
        place = self._find(offset)
        if place is None:
            return None
        cause, record = self._queue[place]
        del self._queue[place]
        self.nothing = not cause.generation_id
        self._said.extend([0] * (offset - len(self._said)))
        self._said.append(digest(content(record)))
        return record

    def _find(self, offset: int) -> int | None:
        """Where in the queue the word on an offset stands: at its head, or behind a later one."""
        cause, record = self._head(0)
        if cause.generated_offset == offset:
            return 0
        for place in range(1, _LOOK_AHEAD):
            try:
                found, later = self._head(place)
            except EndOfVerdicts:
                break
            if found.generated_offset == offset:
                self._findings.diverged(
                    "reordered",
                    place_of(later),
                    offset,
                    f"The word on offset {offset} stands at {later.offset}, after the word on a later one at "
                    f"{record.offset}.",
                    id=later.id,
                )
                return place
        self._findings.diverged(
            "missing",
            place_of(record),
            offset,
            f"There is no InstructionsRejected for offset {offset} of generated; the one that stands at "
            f"{record.offset} of {self._stream.topic} is for {cause.generated_offset}.",
        )
        return None

    def _head(self, place: int) -> tuple[_Cause, Record]:
        while len(self._queue) <= place:
            record = self._stream.take()
            if record is None:
                raise EndOfVerdicts
            cause = _cause_of(record, InstructionsRejected, self._findings)
            if cause is None:
                continue
            at = cause.generated_offset
            if at < len(self._said) and self._said[at]:
                self._again(record, at)
            else:
                self._queue.append((cause, record))
        return self._queue[place]

    def _again(self, record: Record, at: int) -> None:
        what = f"The word on offset {at} stands again at {record.offset}, and says something else."
        report_repeat(self._findings, record, digest(content(record)) == self._said[at], at, what)

    def finish(self) -> None:
        """Read to the end: repeats, and words on what is not on `generated`."""
        while True:
            try:
                cause, record = self._head(0)
            except EndOfVerdicts:
                return
            self._queue.popleft()
            self._findings.diverged(
                "unexpected",
                place_of(record),
                cause.generated_offset,
                f"The word at {record.offset} of rejected is on offset {cause.generated_offset}, which is not on "
                "`generated`.",
                id=record.id,
            )


def row_of(record: Record) -> InstructionKept | None:
    """The row that a record of `kept` holds; None when it holds none."""
    if record.headers[2:3] == (_TYPES[InstructionKept],) and record.value is not None:
        try:
            return _row.decode(record.value)
        except msgspec.MsgspecError:
            return None
    return record.event if isinstance(record.event, InstructionKept) else None


class EndOfVerdicts(Exception):
    """The filter has said nothing further."""


class KeptEffects:
    """`kept`, all partitions, in the order of `generated`."""

    def __init__(self, streams: list[EffectStream], findings: Findings) -> None:
        self._streams = streams
        self._findings = findings
        self._heads: list[tuple[_Cause, Record] | None] = [None] * len(streams)
        self._last = [-1] * len(streams)
        self._said: list[dict[int, int]] = [{} for _ in streams]
        for partition in range(len(streams)):
            self._advance(partition)

    def of(self, offset: int) -> list[Record]:
        """The rows kept of an offset of `generated`, and of earlier ones that were not asked for, in total order."""
        found: list[tuple[int, int, Record]] = []
        for partition in range(len(self._heads)):
            while (head := self._heads[partition]) is not None and head[0].generated_offset <= offset:
                found.append((head[0].generated_offset, head[0].place, head[1]))
                self._advance(partition)
        if len(found) > 1:
            found.sort(key=_position)
        return [record for _, _, record in found]

    def _advance(self, partition: int) -> None:
        while (record := self._streams[partition].take()) is not None:
            cause = _cause_of(record, InstructionKept, self._findings)
            if cause is None:
                continue
            key, said = cause.generated_offset << _PLACE_BITS | cause.place, self._said[partition]
            if key in said:
                self._again(record, said[key], cause)
                continue
            if key <= self._last[partition]:
                self._findings.diverged(
                    "reordered",
                    place_of(record),
                    cause.generated_offset,
                    f"The row kept of offset {cause.generated_offset}, place {cause.place}, stands at {record.offset} "
                    f"of kept/{partition}, after one that follows it; readers drop it.",
                    id=record.id,
                )
                continue
            self._last[partition] = key
            said[key] = digest(content(record))
            self._heads[partition] = cause, record
            return
        self._heads[partition] = None

    def _again(self, record: Record, said: int, cause: "_Cause") -> None:
        what = (
            f"The row kept of offset {cause.generated_offset}, place {cause.place}, stands again at {record.offset} of "
            f"kept/{record.partition} and says something else."
        )
        report_repeat(self._findings, record, digest(content(record)) == said, cause.generated_offset, what)

    def pending(self, end: int) -> int:
        """Read to the end: how many rows are of offsets, below `end`, that the filter is not done with."""
        count = 0
        for partition in range(len(self._heads)):
            while (head := self._heads[partition]) is not None:
                cause, record = head
                if cause.generated_offset < end:
                    count += 1
                else:
                    self._findings.diverged(
                        "unexpected",
                        place_of(record),
                        cause.generated_offset,
                        f"The row {record.id} at {record.offset} of kept/{partition} is of offset "
                        f"{cause.generated_offset}, which is not on `generated`.",
                        id=record.id,
                    )
                self._advance(partition)
        return count


def _position(found: tuple[int, int, Record]) -> tuple[int, int]:
    return found[:2]


def _cause_of(record: Record, cls: type[Event], findings: Findings) -> _Cause | None:
    """Where a record belongs; None, and told, when it is not one of these."""
    if len(record.headers) > 2 and record.headers[2] == _TYPES[cls] and record.value is not None:
        try:
            return _cause.decode(record.value)
        except msgspec.MsgspecError:
            pass
    event = record.event
    if isinstance(event, cls):
        return _Cause(event.generated_offset, getattr(event, "place", -1), event.generation_id)  # type: ignore[attr-defined]
    error = record.error or MalformedEvent(f"{record.topic} takes {cls.__name__} only.")
    findings.cannot_read(record, str(error))
    return None
