"""The audit of a run: everything that was decided is decided again, in the recorded order, and compared.

The run's total order is that of `generated`. For each of its records, in order: the classifier that is due, the
commands that were decided by then, the generation itself (its lane, the seeds it was shown, its answers in the
ledger), and the filter's word on it. What stands on the log is the reference for what follows: after a divergence the
audit goes on from what was recorded, so that each fault is told once.

The audit reads a `Source` and holds nothing that could write. Its memory is the kept rows and their index, and a few
bytes for each other event.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from consumers.replay import verdicts
from consumers.replay.classifiers import Classifiers
from consumers.replay.digests import Digests
from consumers.replay.findings import Divergence, Findings, Repeat, State, Unreadable
from consumers.replay.generations import Answers, check_lane, check_seeds
from consumers.replay.streams import EndOfVerdicts, Rows, Stream, Verdicts
from consumers.replay.windows import Feedback
from infra.record import Record
from infra.run import configuration
from infra.source import TOPICS, Reading, Source
from schemas import ids
from schemas.errors import ConfigurationError, MalformedEvent
from schemas.events import (
    ClassifierFitted,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    RunConfigured,
)
from streams.core import decider
from streams.core.decider import Decision, FilterState

Progress = Callable[[int, int], None]
"""Told (records of `generated` done, records in all)."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Extent:
    """What to decide again: generations from one place to another, both included; None for the run's ends.

    A place is an offset of `generated` or a timestamp in ms. What lies before is taken as it was recorded.
    """

    from_offset: int | None = None
    from_ms: int | None = None
    to_offset: int | None = None
    to_ms: int | None = None

    def __post_init__(self) -> None:
        if self.from_offset is not None and self.to_offset is not None and self.from_offset > self.to_offset:
            raise ConfigurationError(f"The range from offset {self.from_offset} to {self.to_offset} is empty.")

    def begun(self, record: Record) -> bool:
        return record.offset >= (self.from_offset or 0) and record.timestamp_ms >= (self.from_ms or 0)

    def ended(self, offset: int, timestamp_ms: int) -> bool:
        return (self.to_offset is not None and offset > self.to_offset) or (
            self.to_ms is not None and timestamp_ms > self.to_ms
        )

    @property
    def whole(self) -> bool:
        return self.to_offset is None and self.to_ms is None


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found.

    from_offset, through_offset   offsets of `generated` whose decisions were made again
    undecided      records of `generated` on which the filter has said nothing yet
    pending        kept rows of generations that the filter is not done with
    checked        how many of each were compared
    divergences    how many, by kind in `by_kind`; `first` and the first few in `found`
    repeats        events that stand on the log more than once, by topic; the first few in `repeated`
    unreadable     records that nothing can be read from, by topic; the first few in `not_read`
    digests        of what the log says, see `consumers.replay.digests`; they cover the log from its start
    records        records read
    """

    run: str
    from_offset: int
    through_offset: int
    undecided: int
    pending: int
    checked: dict[str, int]
    divergences: int
    by_kind: dict[str, int]
    first: Divergence | None
    found: tuple[Divergence, ...]
    repeats: dict[str, int]
    repeated: tuple[Repeat, ...]
    unreadable: dict[str, int]
    not_read: tuple[Unreadable, ...]
    digests: dict[str, str]
    records: int
    seconds: float


def audit(
    source: Source,
    extent: Extent | None = None,
    *,
    progress: Progress = lambda done, of: None,
    at_end: Callable[["Auditor"], None] = lambda auditor: None,
) -> Audit:
    """Decide a run again and compare. `at_end` is shown the auditor in the state that it ends in.

    Raises RunError when the log does not begin with how the run was configured, ConfigurationError for an empty range.
    """
    configured, classifiers = configuration(source)
    with source.open(TOPICS) as reading:
        auditor = Auditor(configured, classifiers, reading, extent or Extent())
        auditor.run(progress)
        at_end(auditor)
        return auditor.audit()


class Auditor:
    """One pass over a run."""

    def __init__(
        self,
        configured: RunConfigured,
        classifiers: tuple[ClassifierFitted, ...],
        reading: Reading,
        extent: Extent,
    ) -> None:
        self.configured = configured
        self.state: FilterState = decider.initial_state(configured)
        self.findings = Findings(self._now)
        self.digests = Digests()
        self.timestamp_ms = 0
        self._classifiers = Classifiers(configured, classifiers, self.findings, self.digests)
        self._extent = extent
        self._ends = reading.ends()
        self._streams = [Stream(reading, topic, number, self.findings) for topic, number in sorted(self._ends)]
        by_topic: dict[str, list[Stream]] = {}
        for stream in self._streams:
            by_topic.setdefault(stream.topic, []).append(stream)
        self._generated = by_topic["generated"][0]
        self._verdicts = Verdicts(by_topic["rejected"][0], self.findings)
        self._rows = Rows(by_topic["kept"], self.findings)
        self._answers = Answers(by_topic["calls"][0], self.findings)
        self._kept: list[list[str]] = [[] for _ in by_topic["kept"]]
        self.feedback = Feedback(
            configured,
            by_topic["training-log"][0],
            by_topic["seed-commands"][0],
            self._kept,
            self.findings,
            self.digests,
        )
        self._run_stream = by_topic["run"][0]
        self._checked = {"generations": 0, "instructions": 0, "kept": 0, "rejected": 0}
        self._from_offset: int | None = None
        self._pending = 0
        self._held: Record | None = None
        self._skipped: list[Decision] = []
        self._started = time.monotonic()

    def run(self, progress: Progress) -> None:
        """Go through the log."""
        end = self._ends["generated", 0]
        offset = 0
        self._begin()
        while offset < end:
            record = self._record(offset)
            if record is not None:
                if self._extent.ended(offset, record.timestamp_ms):
                    break
                self.timestamp_ms = record.timestamp_ms
            try:
                told = self._verdicts.on(offset)
            except EndOfVerdicts:
                self._held = record
                break
            self._step(offset, record, told)
            offset += 1
            progress(offset, end)
        self._catch_up()
        self.feedback.before(offset, self.state)
        whole = self._extent.whole
        self.feedback.finish(whole)
        if whole:
            self._pending = self._rows.pending()
            self._answers.drain()
            while (record := self._generated.take()) is not None:
                if not isinstance(record.event, InstructionsGenerated):
                    self.findings.cannot_read(record, str(record.error or "not a generation"))
        if self._from_offset is None:
            self._from_offset = offset

    def audit(self) -> Audit:
        """What was found."""
        findings = self.findings
        from_offset = self._from_offset or 0
        return Audit(
            run=self.configured.run,
            from_offset=from_offset,
            through_offset=self.state.applied,
            undecided=self._ends["generated", 0] - 1 - self.state.applied if self._extent.whole else 0,
            pending=self._pending,
            checked=self._checked
            | {
                "classifiers": self._classifiers.count,
                "answers": self._answers.count,
                "windows": self.feedback.windows,
                "commands": self.feedback.commands,
            },
            divergences=findings.count,
            by_kind=dict(findings.by_kind.most_common()),
            first=findings.divergences[0] if findings.divergences else None,
            found=tuple(findings.divergences),
            repeats=dict(findings.repeats_by_topic),
            repeated=tuple(findings.repeats),
            unreadable=dict(findings.unreadable_by_topic),
            not_read=tuple(findings.unreadable),
            digests=self.digests.values(),
            records=sum(stream.records for stream in self._streams),
            seconds=time.monotonic() - self._started,
        )

    def _begin(self) -> None:
        while (record := self._run_stream.take()) is not None:
            if record.event is None:
                self.findings.cannot_read(record, str(record.error))
        self.digests.add("run", _encode((self.configured.policy, self.configured.seeds)))

    def _record(self, offset: int) -> Record | None:
        """The record of `generated` at an offset; None when it is not there although later ones are."""
        if self._held is None:
            self._held = self._generated.take()
        if self._held is None or self._held.offset > offset:
            return None
        record, self._held = self._held, None
        return record

    def _step(self, offset: int, record: Record | None, told: Record | None) -> None:
        rows = self._rows.of(offset)
        if self._from_offset is None and record is not None and self._extent.begun(record):
            self._from_offset = offset
            self._catch_up()
        if told is not None:
            self.digests.add("rejected", told.value)
        for kept in rows:
            self.digests.add("kept", kept.value)
        if self._from_offset is None:
            self._skip(offset, record, told, rows)
            return
        self._classifiers.check(offset, self.state)
        self.feedback.before(offset, self.state)
        decision = self._decide(offset, record, told, rows)
        for row in decision.kept:
            if row.cluster < len(self._kept):
                self._kept[row.cluster].append(row.id)
        decider.evolve(self.state, decision)

    def _decide(self, offset: int, record: Record | None, told: Record | None, rows: list[Record]) -> Decision:
        checked = self._checked
        checked["generations"] += 1
        checked["kept"] += len(rows)
        event = None if record is None else record.event
        if record is None:
            recorded = None if told is None else told.event
            return _recorded(offset, None, "", recorded, rows)
        if isinstance(event, InstructionsGenerated):
            self.digests.add_generation(event)
            checked["instructions"] += len(event.instructions)
            checked["rejected"] += len(event.instructions)
            if record.id == ids.generation_id(event.lane, event.number):
                check_lane(self.findings, record, event, self.state.numbers)
                check_seeds(
                    self.findings, record, event, self.configured.policy, self.feedback.pools,
                    self.feedback.pool.commands_offset,
                )  # fmt: skip
                self._answers.check(record, event)
            try:
                verdict = decider.decide(self.state, offset, record.id, event)
            except MalformedEvent as error:
                self.findings.cannot_read(record, str(error))
                verdict = decider.nothing(self.state, offset)
        else:
            self.findings.cannot_read(record, str(record.error or "not a generation"))
            verdict = decider.nothing(self.state, offset)
        checked["rejected"] -= len(rows)
        return verdicts.check(verdict, told, rows, self.findings)

    def _skip(self, offset: int, record: Record | None, told: Record | None, rows: list[Record]) -> None:
        """Take a generation before the range as it was recorded."""
        event = record.event if record is not None else None
        generation = event if isinstance(event, InstructionsGenerated) else None
        if generation is not None and record is not None:
            self.digests.add_generation(generation)
            self._answers.check(record, generation)
        id = "" if record is None else record.id
        decision = _recorded(offset, generation, id, None if told is None else told.event, rows)
        for row in decision.kept:
            self._kept[row.cluster].append(row.id)
        self._skipped.append(decision)
        if len(self._skipped) >= 5_000:
            self._catch_up()

    def _catch_up(self) -> None:
        """Bring the state up to what was skipped."""
        for decision in self._skipped:
            self._classifiers.use(decision.offset, self.state)
            self.feedback.before(decision.offset, self.state)
            decider.evolve(self.state, decision)
        self._skipped.clear()

    def _now(self) -> State:
        return State(
            applied=self.state.applied,
            kept_total=len(self.state.kept),
            generated_total=self.state.generated_total,
            classifier_offset=self.state.classifier_offset,
            commands_offset=self.feedback.pool.commands_offset,
            seeds=len(self.feedback.pool.active),
        )


def _recorded(offset: int, event: InstructionsGenerated | None, id: str, told: object, rows: list[Record]) -> Decision:
    """The decision as the log has it, where the generation is not decided again."""
    kept = [row.event for row in rows if isinstance(row.event, InstructionKept)]
    return Decision(
        offset=offset,
        generation_id=id,
        lane="" if event is None else event.lane,
        number=-1 if event is None else event.number,
        seed_ids=() if event is None else event.seed_ids,
        generated=told.generated if isinstance(told, InstructionsRejected) else 0,
        kept=tuple(sorted(kept, key=lambda row: row.place)),
    )
