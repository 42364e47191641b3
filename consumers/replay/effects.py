"""The log in the order of `generated`: each of its records with the verdict on it and the rows kept of it.

Only the cause of a verdict or row is decoded, because the audit compares most events byte by byte. A repeat is
reported, as altered when its content differs.
"""

from array import array
from collections import deque
from dataclasses import dataclass

from consumers.folds.deduplicate import Deduplicator
from consumers.replay.digests import digest
from consumers.replay.effect_stream import Cause, EffectStream, cause_of, content, row_of
from consumers.replay.findings import Findings, place_of
from consumers.replay.repeats import report_repeat
from infra.log.record import Record
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.policy import Policy
from streams.core.decider import Decision
from streams.core.scores import uncounted

_LOOK_AHEAD = 64  # verdicts behind its place among which a missing one is searched
_PLACE_BITS = 20  # a row's cause as one number, because all of them are remembered


class EndOfVerdicts(Exception):
    """There are no further verdicts."""


@dataclass(frozen=True, slots=True)
class RecordedGeneration:
    """One offset of `generated` with its effects.

    record    None when it is not on the log although later ones are
    event     None without a record, and where the filter or this program could not read it
    verdict   the InstructionsRejected; None when it is not on the log although later ones are
    rows      of `kept`, in total order
    """

    offset: int
    record: Record | None
    event: InstructionsGenerated | None
    verdict: Record | None
    rows: list[Record]

    @property
    def rejected(self) -> InstructionsRejected | None:
        """The verdict, decoded."""
        event = None if self.verdict is None else self.verdict.event
        return event if isinstance(event, InstructionsRejected) else None

    def decision(self, policy: Policy) -> Decision:
        """The decision as recorded."""
        event, rejected = self.event, self.rejected
        kept = [row for record in self.rows if (row := row_of(record)) is not None]
        return Decision(
            offset=self.offset,
            generation_id="" if self.record is None else self.record.id,
            lane="" if event is None else event.lane,
            number=-1 if event is None else event.number,
            seed_ids=() if event is None else event.seed_ids,
            generated=0 if rejected is None else rejected.generated,
            kept=tuple(sorted(kept, key=lambda row: row.place)),
            uncounted=0 if rejected is None else uncounted(policy, rejected.rejections),
        )


class Effects:
    """`generated`, `rejected` and `kept`, read in step."""

    def __init__(
        self, generated: EffectStream, rejected: EffectStream, kept: list[EffectStream], findings: Findings
    ) -> None:
        self.end = generated.end
        self._generated = generated
        self._verdicts = _Verdicts(rejected, findings)
        self._rows = _KeptRows(kept, findings)
        self._findings = findings
        self._head: Record | None = None

    def peek(self, offset: int) -> Record | None:
        """The record of `generated` at an offset; None when it is not there although later ones are."""
        if self._head is None:
            self._head = self._generated.take()
        return self._head if self._head is not None and self._head.offset <= offset else None

    def take(self, offset: int) -> RecordedGeneration:
        """An offset of `generated`, each after the one before. Raises EndOfVerdicts when there is none from it on."""
        verdict = self._verdicts.take(offset)
        record = self.peek(offset)
        event = None
        if record is not None:
            self._head = None
            event = self._event(record)
        if record is not None and event is not None and verdict is not None and self._verdicts.unread:
            # the filter of that time could not read it; this program, a newer one, can
            self._findings.put_aside.add(place_of(record))
            event = None
        return RecordedGeneration(offset, record, event, verdict, self._rows.take(offset))

    def take_undecided(self) -> tuple[Record, InstructionsGenerated] | None:
        """The next readable generation after the last verdict; None at the end."""
        while (record := self._head or self._generated.take()) is not None:
            self._head = None
            event = self._event(record)
            if event is not None:
                return record, event
        return None

    def finish(self) -> int:
        """Read verdicts and rows to their ends; how many rows are of undecided generations."""
        self._verdicts.finish()
        return self._rows.finish(self.end)

    def _event(self, record: Record) -> InstructionsGenerated | None:
        if isinstance(record.event, InstructionsGenerated):
            return record.event
        self._findings.cannot_read_as(record, InstructionsGenerated)
        return None


class _Verdicts:
    """`rejected`, in the order of `generated`.

    Other readers drop a verdict after one on a later offset (`consumers.folds.deduplicate`). Here it is reported as
    reordered and used, so that one fault does not become many.

    unread   whether the filter could not read the record that the last verdict is on
    """

    def __init__(self, stream: EffectStream, findings: Findings) -> None:
        self.unread = False
        self._stream = stream
        self._findings = findings
        self._queue: deque[tuple[Cause, Record]] = deque()
        self._digests = array("Q")  # of the verdict on each offset, to compare repeats with; 0 for none

    def take(self, offset: int) -> Record | None:
        """The verdict on an offset; None when it is not on the log although later ones are.

        Raises EndOfVerdicts when there is none on it nor on a later one.
        """
        place = self._find(offset)
        if place is None:
            return None
        cause, record = self._queue[place]
        del self._queue[place]
        self.unread = not cause.generation_id
        self._digests.extend([0] * (offset - len(self._digests)))
        self._digests.append(self._digest(record))
        return record

    def _digest(self, record: Record) -> int:
        """Of its content, if repeats are reported: not 0."""
        return digest(content(record)) if self._findings.conducting else 1

    def finish(self) -> None:
        """Report repeats to the end, and verdicts on what is not on `generated`."""
        while True:
            try:
                cause, record = self._at(0)
            except EndOfVerdicts:
                return
            self._queue.popleft()
            offset = cause.generated_offset
            what = f"The verdict at {record.offset} of rejected is on offset {offset}, which is not on `generated`."
            self._findings.diverged("unexpected", record, offset, what)

    def _find(self, offset: int) -> int | None:
        """The place in the queue of the verdict on an offset: its head, or behind a later one."""
        cause, record = self._at(0)
        if cause.generated_offset == offset:
            return 0
        for place in range(1, _LOOK_AHEAD):
            try:
                found, later = self._at(place)
            except EndOfVerdicts:
                break
            if found.generated_offset == offset:
                what = f"The verdict on offset {offset} is at {later.offset}, after a later one's at {record.offset}."
                self._findings.diverged("reordered", later, offset, what)
                return place
        found_instead = f"the one at {record.offset} of rejected is for {cause.generated_offset}"
        what = f"There is no InstructionsRejected for offset {offset} of generated; {found_instead}."
        self._findings.diverged("missing", place_of(record), offset, what)
        return None

    def _at(self, place: int) -> tuple[Cause, Record]:
        while len(self._queue) <= place:
            record = self._stream.take()
            if record is None:
                raise EndOfVerdicts
            cause = cause_of(record, InstructionsRejected, self._findings)
            if cause is None:
                continue
            offset = cause.generated_offset
            if offset < len(self._digests) and self._digests[offset]:
                same = digest(content(record)) == self._digests[offset]
                altered = f"The verdict on offset {offset} is repeated at {record.offset}, with another content."
                report_repeat(self._findings, record, same, offset, altered)
            else:
                self._queue.append((cause, record))
        return self._queue[place]


class _KeptRows:
    """`kept`, all partitions, in the order of `generated`."""

    def __init__(self, streams: list[EffectStream], findings: Findings) -> None:
        self._streams = streams
        self._findings = findings
        self._deduplicator = Deduplicator()
        self._digests: list[dict[int, int]] = [{} for _ in streams]
        self._heads: list[tuple[Cause, Record] | None] = [None] * len(streams)
        for partition in range(len(streams)):
            self._advance(partition)

    def take(self, offset: int) -> list[Record]:
        """The rows kept of an offset of `generated`, and of earlier ones that were not taken, in total order."""
        found: list[tuple[int, int, Record]] = []
        for partition in range(len(self._heads)):
            while (head := self._heads[partition]) is not None and head[0].generated_offset <= offset:
                found.append((head[0].generated_offset, head[0].place, head[1]))
                self._advance(partition)
        if len(found) > 1:
            found.sort(key=lambda row: row[:2])
        return [record for _, _, record in found]

    def finish(self, end: int) -> int:
        """Read to the end; how many rows are of offsets below `end`. Rows of others are reported."""
        count = 0
        for partition in range(len(self._heads)):
            while (head := self._heads[partition]) is not None:
                cause, record = head
                if cause.generated_offset < end:
                    count += 1
                else:
                    offset, where = cause.generated_offset, f"at {record.offset} of kept/{partition}"
                    what = f"The row {record.id} {where} is of offset {offset}, which is not on `generated`."
                    self._findings.diverged("unexpected", record, offset, what)
                self._advance(partition)
        return count

    def _advance(self, partition: int) -> None:
        while (record := self._streams[partition].take()) is not None:
            cause = cause_of(record, InstructionKept, self._findings)
            if cause is None:
                continue
            key = cause.generated_offset << _PLACE_BITS | cause.place
            if self._deduplicator.kept(cause.generated_offset, cause.place, partition):
                if self._findings.conducting:  # else repeats are not reported
                    self._digests[partition][key] = digest(content(record))
                self._heads[partition] = cause, record
                return
            self._report_dropped(record, cause, self._digests[partition].get(key))
        self._heads[partition] = None

    def _report_dropped(self, record: Record, cause: Cause, first: int | None) -> None:
        """Report a row that readers drop; `first` is the digest of the first row with its cause, if any."""
        offset = cause.generated_offset
        row = f"The row kept of offset {offset}, place {cause.place},"
        where = f"at {record.offset} of kept/{record.partition}"
        if first is not None:
            altered = f"{row} is repeated {where} with another content."
            report_repeat(self._findings, record, digest(content(record)) == first, offset, altered)
            return
        what = f"{row} is {where}, after one that follows it; readers drop it."
        self._findings.diverged("reordered", record, offset, what)
