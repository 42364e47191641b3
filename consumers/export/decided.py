"""What a run has decided, generation by generation, in the run's total order.

`rejected` leads: it has one record for each record of `generated` that the filter is done with, in order. `generated`
and all partitions of `kept` are pulled in step with it, so memory holds one generation and what the reading fetched
ahead, however long the run is.

Guaranteed: the same `through` gives the same generations, rows and `covered`, whenever and from wherever it is read,
because events that stand twice are dropped and what comes after `through` is not looked at. A log that does not hold
what the filter says it wrote is an error, never a shorter data set. Whether what was kept is any good is not known.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from infra.log.record import Partition, Record
from infra.log.source import Reading, Source
from schemas.errors import RunError
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, RunConfigured
from streams.core.lanes import LaneNumbers

_Placed = tuple[int, int, int, InstructionKept]  # generated_offset, place, partition, row: what rows are merged by


@dataclass(frozen=True, slots=True)
class DecidedGeneration:
    """A record of `generated` that the filter is done with.

    generation   None when there was nothing to decide: the record cannot be read, or stands twice
    rows         what was kept of it, by place
    """

    verdict: InstructionsRejected
    generation: InstructionsGenerated | None
    rows: tuple[InstructionKept, ...]


@dataclass(frozen=True, slots=True)
class DecidedExtent:
    """How far a run is decided: the offset of `generated`, -1 for nothing, and the rows kept up to and with it."""

    through: int
    kept: int


def configured(source: Source) -> tuple[RunConfigured, int]:
    """How the run is configured, and at which offset of `run`. Raises RunError when it never was."""
    with source.open(["run"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, RunConfigured):
                return record.event, record.offset
    raise RunError(f"The log of {source.name} has no RunConfigured. Start the run with `sedi run --run {source.run}`.")


def extent(source: Source, wanted: int | None) -> DecidedExtent:
    """The run up to the record at offset `wanted` of `generated`, or up to the last that is decided for None.

    Raises RunError when `wanted` is not decided.
    """
    through, kept = -1, 0
    with source.open(["rejected"]) as reading:
        for record in reading.rest():
            event = record.event
            if isinstance(event, InstructionsRejected) and event.generated_offset > through:
                if wanted is not None and event.generated_offset > wanted:
                    break
                through, kept = event.generated_offset, event.kept_total
    if wanted is not None and through != wanted:
        raise RunError(
            f"Offset {wanted} of generated is not decided in {source.name}; the last decided up to there is {through}. "
            "Wait for the filter, or give a smaller --through."
        )
    return DecidedExtent(through, kept)


class DecidedReading:
    """Reads what is decided up to and with offset `through` of `generated`, once.

    covered    of each partition the offset after the last record that was used
    first_time, last_time    of the first generation and the last verdict, as they say; None when there is none
    """

    topics = ("generated", "kept", "rejected")

    def __init__(self, reading: Reading, through: int) -> None:
        self.covered: dict[Partition, int] = dict(reading.starts())
        self.first_time: str | None = None
        self.last_time: str | None = None
        self._reading = reading
        self._through = through
        self._lanes = LaneNumbers()
        partitions = [partition for topic, partition in self.covered if topic == "kept"]
        self._rows = heapq.merge(*(self._kept(partition) for partition in sorted(partitions)))
        self._next_row = next(self._rows, None)

    def __iter__(self) -> Iterator[DecidedGeneration]:
        expected = 0
        while expected <= self._through:
            verdict = self._verdict(expected)
            generation = self._generation(verdict)
            rows = tuple(self._rows_of(expected))
            if len(rows) != verdict.kept or (rows and generation is None):
                raise _faulty(expected, f"the filter kept {verdict.kept} of it, the log holds {len(rows)} rows")
            yield DecidedGeneration(verdict, generation, rows)
            expected += 1

    def _verdict(self, expected: int) -> InstructionsRejected:
        while (record := self._reading.next("rejected", 0)) is not None:
            event = record.event
            if not isinstance(event, InstructionsRejected) or event.generated_offset < expected:
                continue
            if event.generated_offset > expected:
                raise _faulty(expected, f"after it the filter told of offset {event.generated_offset}")
            self._use(record)
            self.last_time = _time(record)
            return event
        raise _faulty(expected, "the filter never told that it is done with it")

    def _generation(self, verdict: InstructionsRejected) -> InstructionsGenerated | None:
        while (record := self._reading.next("generated", 0)) is not None:
            if record.offset < verdict.generated_offset:
                continue
            self._use(record)
            event = record.event
            if not isinstance(event, InstructionsGenerated) or record.id != verdict.generation_id:
                return None
            if not self._lanes.take(event.lane, event.number):
                return None
            self.first_time = self.first_time or _time(record)
            return event
        raise _faulty(verdict.generated_offset, "generated has no such record")

    def _rows_of(self, offset: int) -> Iterator[InstructionKept]:
        while self._next_row is not None and self._next_row[0] <= offset:
            yield self._next_row[3]
            self._next_row = next(self._rows, None)

    def _kept(self, partition: int) -> Iterator[_Placed]:
        last = (-1, -1)
        while (record := self._reading.next("kept", partition)) is not None:
            event = record.event
            if not isinstance(event, InstructionKept) or (event.generated_offset, event.place) <= last:
                continue
            if event.generated_offset > self._through:
                return
            last = event.generated_offset, event.place
            self._use(record)
            yield *last, partition, event

    def _use(self, record: Record) -> None:
        self.covered[record.place] = record.offset + 1


def _time(record: Record) -> str | None:
    return None if record.decoded is None else record.decoded.meta.time


def _faulty(offset: int, what: str) -> RunError:
    return RunError(
        f"The run's books are not in order at offset {offset} of generated: {what}. See `sedi report`; export what is "
        "before it with --through."
    )
