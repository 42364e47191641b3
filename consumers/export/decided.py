"""What a run has decided, generation by generation, in the run's total order.

`rejected` leads: it has one record for each record of `generated` that the filter has decided, in order. `generated`
and all partitions of `kept` are read in step with it, so memory holds one generation and what the reading fetched
ahead, however long the run is.

Guaranteed: the same `through` gives the same generations, rows and `covered`, whenever and from wherever it is read,
because repeats are dropped and records after `through` are ignored. A log that lacks what the filter counted is an
error, never a shorter data set. The quality of the rows is not checked.

In a run that answers kept instructions alone, `answered` is read in step too. Rows may wait for their answers, so there
the same `through` gives the same answers only once all these rows are answered.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from consumers.folds.deduplicate import Deduplicator
from infra.log.answers import TOPIC as ANSWERED
from infra.log.answers import AnswersInOrder
from infra.log.record import Partition, Record
from infra.log.source import Reading, Source
from schemas.errors import RunError
from schemas.events import (
    InstructionAnswered,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    RunConfigured,
)
from schemas.policy import Policy
from streams.core.answering import rows_topic

_Placed = tuple[int, int, int, InstructionKept]  # generated_offset, place, partition, row: what rows are merged by


@dataclass(frozen=True, slots=True)
class DecidedGeneration:
    """A record of `generated` that the filter has decided.

    generation   None when there was nothing to decide: the record cannot be read, or is a repeat
    rows         its kept rows, by place
    answers      to its rows, by their ids; empty where rows have their outputs when they are kept
    """

    verdict: InstructionsRejected
    generation: InstructionsGenerated | None
    rows: tuple[InstructionKept, ...]
    answers: Mapping[str, InstructionAnswered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DecidedExtent:
    """How far a run is decided: an offset of `generated`, -1 for nothing, and the rows kept up to and with it."""

    through: int
    kept: int


def configured(source: Source) -> tuple[RunConfigured, int]:
    """The run's configuration and its offset on `run`. Raises RunError when there is none."""
    with source.open(["run"]) as reading:
        for record in reading.rest():
            if isinstance(record.event, RunConfigured):
                return record.event, record.offset
    raise RunError(f"The log of {source.name} has no RunConfigured. Start the run with `sedi run --run {source.run}`.")


def extent(source: Source, wanted: int | None) -> DecidedExtent:
    """The run up to the record at offset `wanted` of `generated`, or up to the last that is decided for None.

    Raises RunError when `wanted` is not decided.
    """
    kept, deduplicator = 0, Deduplicator()
    with source.open(["rejected"]) as reading:
        for record in reading.rest():
            event = record.event
            if not isinstance(event, InstructionsRejected):
                continue
            if wanted is not None and event.generated_offset > wanted:
                break
            if deduplicator.rejected(event):
                kept = event.kept_total
    through = deduplicator.decided_offset
    if wanted is not None and through != wanted:
        raise RunError(
            f"Offset {wanted} of generated is not decided in {source.name}; the last decided up to there is {through}. "
            "Wait for the filter, or give a smaller --through."
        )
    return DecidedExtent(through, kept)


class DecidedReading:
    """One pass over what is decided up to and with offset `through` of `generated`; its answers too where the reading
    has `answered`.

    covered    of each partition the offset after the last record that was used
    first_time, last_time    of the first generation and the last verdict, by their envelopes; None without one
    """

    topics = ("generated", "kept", "rejected")

    @classmethod
    def topics_of(cls, policy: Policy) -> tuple[str, ...]:
        """The topics to open, for rows with their outputs."""
        return tuple(dict.fromkeys((*cls.topics, rows_topic(policy))))

    def __init__(self, reading: Reading, through: int) -> None:
        self.covered: dict[Partition, int] = dict(reading.starts())
        self.first_time: str | None = None
        self.last_time: str | None = None
        self._reading = reading
        self._through = through
        self._deduplicator = Deduplicator()
        partitions = [partition for topic, partition in self.covered if topic == "kept"]
        self._rows = heapq.merge(*(self._kept(partition) for partition in sorted(partitions)))
        self._next_row = next(self._rows, None)
        self._answers = AnswersInOrder()

    def __iter__(self) -> Iterator[DecidedGeneration]:
        expected = 0
        while expected <= self._through:
            verdict = self._verdict(expected)
            generation = self._generation(verdict)
            rows = tuple(self._rows_of(expected))
            if len(rows) != verdict.kept or (rows and generation is None):
                raise _faulty(expected, f"the filter kept {verdict.kept} of it, the log holds {len(rows)} rows")
            yield DecidedGeneration(verdict, generation, rows, self._answers_to(rows))
            expected += 1

    def _verdict(self, expected: int) -> InstructionsRejected:
        while (record := self._reading.next("rejected", 0)) is not None:
            event = record.event
            if not isinstance(event, InstructionsRejected) or not self._deduplicator.rejected(event):
                continue
            if event.generated_offset > expected:
                raise _faulty(expected, f"the filter's next verdict is on offset {event.generated_offset}")
            self._use(record)
            self.last_time = _time(record)
            return event
        raise _faulty(expected, "the filter wrote no verdict on it")

    def _generation(self, verdict: InstructionsRejected) -> InstructionsGenerated | None:
        while (record := self._reading.next("generated", 0)) is not None:
            if record.offset < verdict.generated_offset:
                continue
            self._use(record)
            event = record.event
            if not isinstance(event, InstructionsGenerated) or record.id != verdict.generation_id:
                return None
            if not self._deduplicator.generated(event, record.offset):
                return None
            self.first_time = self.first_time or _time(record)
            return event
        raise _faulty(verdict.generated_offset, "generated has no such record")

    def _rows_of(self, offset: int) -> Iterator[InstructionKept]:
        while self._next_row is not None and self._next_row[0] <= offset:
            yield self._next_row[3]
            self._next_row = next(self._rows, None)

    def _answers_to(self, rows: tuple[InstructionKept, ...]) -> dict[str, InstructionAnswered]:
        found = {row.id: answer for row in rows if (answer := self._answers.of(self._reading, row)) is not None}
        for row in rows:
            if row.id in found:
                self.covered[ANSWERED, row.cluster] = self._answers.next_offsets[row.cluster]
        return found

    def _kept(self, partition: int) -> Iterator[_Placed]:
        while (record := self._reading.next("kept", partition)) is not None:
            event = record.event
            if not isinstance(event, InstructionKept):
                continue
            cause = event.generated_offset, event.place
            if not self._deduplicator.kept(*cause, partition):
                continue
            if event.generated_offset > self._through:
                return
            self._use(record)
            yield *cause, partition, event

    def _use(self, record: Record) -> None:
        self.covered[record.place] = record.offset + 1


def _time(record: Record) -> str | None:
    return None if record.decoded is None else record.decoded.meta.time


def _faulty(offset: int, fault: str) -> RunError:
    return RunError(
        f"The run's books are not in order at offset {offset} of generated: {fault}. See `sedi report`; export what "
        "is before it with --through."
    )
