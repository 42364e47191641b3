"""The audit of a run: everything that was decided is decided again, in the recorded order, and compared.

The run's total order is that of `generated`. For each of its records, in order: the classifier that is due, the
commands that were decided by then, the generation itself (its lane, the seeds it was shown, its answers in the
ledger), and the filter's word on it. What stands on the log is the reference for what follows: after a divergence the
audit goes on from what was recorded, so that each fault is told once.

That the log and not the audit leads makes every part of it a thing by itself. So a run is shared out between processes:
each takes what lies before its part as it was recorded, which is quick, and decides its part again. One of them, the
conductor, checks besides what concerns the log as a whole.

The audit reads a `Source` and holds nothing that could write. Its memory is the kept rows and their index, and some
hundred bytes for each other event that may stand twice.
"""

import gc
from collections.abc import Callable

import msgspec

from consumers.replay import verdicts
from consumers.replay.classifiers import Classifiers
from consumers.replay.digests import Digests, generation_content, policy_content
from consumers.replay.effects import EffectStream, EndOfVerdicts, KeptEffects, RejectedEffects, content, row_of
from consumers.replay.extent import AuditExtent
from consumers.replay.findings import AuditState, Findings, in_order, place_of
from consumers.replay.generations import GenerationAnswers, check_lane, check_read, check_shown
from consumers.replay.judgements import JudgementAudit
from consumers.replay.repeats import RepeatCheck
from consumers.replay.result import Audit
from consumers.replay.windows import FeedbackAudit
from infra.embeddings import embedder_for
from infra.record import Record
from infra.source import Reading
from schemas import ids
from schemas.errors import MalformedEvent
from schemas.events import ClassifierFitted, InstructionsGenerated, InstructionsRejected, RunConfigured
from schemas.policy import Policy
from streams.core import decider
from streams.core.decider import Decision, FilterState, Verdict
from streams.core.lanes import LaneNumbers
from streams.core.scores import uncounted
from streams.core.seeds import SeedPool

Progress = Callable[[int, int], None]
"""Told (records of `generated` done, records in all)."""

_SKIPPED_AT_ONCE = 5_000
_FROZEN_EVERY = 500

_encode = msgspec.json.Encoder().encode


class Auditor:
    """One pass over a run."""

    def __init__(
        self,
        configured: RunConfigured,
        classifiers: tuple[ClassifierFitted, ...],
        reading: Reading,
        extent: AuditExtent,
        conducting: bool = True,
    ) -> None:
        self.configured = configured
        self.state: FilterState = decider.initial_state(configured, embedder_for(configured.policy))
        self.findings = Findings(self._now, conducting)
        self.digests = Digests()
        self.timestamp_ms = 0
        self._whole: _Whole | None = None
        self._classifiers = Classifiers(configured, classifiers, self.findings, self.digests)
        self._extent = extent
        self._ends = reading.ends()
        self._streams = [EffectStream(reading, topic, number, self.findings) for topic, number in sorted(self._ends)]
        by_topic: dict[str, list[EffectStream]] = {}
        for stream in self._streams:
            by_topic.setdefault(stream.topic, []).append(stream)
        self._classifiers.read(by_topic["run"][0])
        self._generated = by_topic["generated"][0]
        self._verdicts = RejectedEffects(by_topic["rejected"][0], self.findings)
        self._rows = KeptEffects(by_topic["kept"], self.findings)
        self._kept: list[list[str]] = [[] for _ in by_topic["kept"]]
        if conducting:
            self._whole = _Whole(configured, by_topic, self._kept, self.findings, self.digests)
        self._checked = {"generations": 0, "instructions": 0, "kept": 0, "rejected": 0}
        self._from_offset: int | None = None
        self._pending = 0
        self._uncounted = 0
        self._held: Record | None = None
        self._skipped: list[Decision] = []

    @property
    def pool(self) -> SeedPool | None:
        """The seed pool; None without conducting."""
        return None if self._whole is None else self._whole.feedback.pool

    def run(self, progress: Progress) -> None:
        """Go through the log."""
        end = self._ends["generated", 0]
        offset = 0
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
            if offset % _FROZEN_EVERY == 0:
                gc.freeze()  # rows stay for good: looking through all of them for garbage costs a tenth of the time
        self._catch_up()
        if self._whole is not None:
            if self._extent.whole:
                self._verdicts.finish()
                self._pending = self._rows.pending(end)
            self._whole.finish(offset, self.state, self._extent.whole)
            if self._extent.whole:
                self._read_undecided()
        if self._from_offset is None:
            self._from_offset = offset

    def audit(self, seconds: float) -> Audit:
        """What was found, in `seconds`."""
        findings, whole = self.findings, self._whole
        found = sorted(findings.divergences, key=in_order)
        return Audit(
            run=self.configured.run,
            from_offset=self._from_offset or 0,
            through_offset=self.state.applied,
            undecided=self._ends["generated", 0] - 1 - self.state.applied if self._extent.whole else 0,
            pending=self._pending,
            checked=self._checked | {"classifiers": self._classifiers.count} | ({} if whole is None else whole.checked),
            divergences=findings.count,
            by_kind=dict(findings.by_kind.most_common()),
            first=found[0] if found else None,
            found=tuple(found),
            repeats=dict(findings.repeats_by_topic),
            repeated=tuple(findings.repeats),
            unreadable=dict(findings.unreadable_by_topic),
            not_read=tuple(findings.unreadable),
            not_in_dead_letters=(),
            digests=self.digests.values(),
            records=sum(stream.records for stream in self._streams),
            seconds=seconds,
        )

    def _read_undecided(self) -> None:
        """Look at the generations that the filter has not decided on, for what cannot be read."""
        while (record := self._held or self._generated.take()) is not None:
            self._held = None
            if not isinstance(record.event, InstructionsGenerated):
                self._cannot_read(record)
            elif self._whole is not None:
                self._whole.fresh(record, record.event)

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
        if not self.findings.deciding and record is not None and self._extent.begun(record):
            self._from_offset = offset
            self._catch_up()
            self.findings.deciding = True
        event = None if record is None else record.event
        generation = event if isinstance(event, InstructionsGenerated) else None
        if record is not None and generation is None:
            self._cannot_read(record)
        elif record is not None and told is not None and self._verdicts.nothing:
            # the filter that was there could not read it; this program, a newer one, can
            self.findings.put_aside.add(place_of(record))
            generation = None
        if self._whole is not None:
            self._whole.see(record, generation, told, rows)
        if self.findings.deciding:
            decision = self._decide(offset, record, generation, told, rows)
        else:
            decision = self._take_as_recorded(offset, record, generation, told, rows)
        for row in decision.kept:
            if row.cluster < len(self._kept):
                self._kept[row.cluster].append(row.id)
        if self.findings.deciding:
            decider.apply(self.state, decision)
            return
        decider.note(self.state, decision)
        self._skipped.append(decision)
        if len(self._skipped) >= _SKIPPED_AT_ONCE:
            self._catch_up()

    def _decide(
        self,
        offset: int,
        record: Record | None,
        event: InstructionsGenerated | None,
        told: Record | None,
        rows: list[Record],
    ) -> Decision:
        self._classifiers.check(offset, self.state)
        if self._whole is not None:
            self._whole.before(offset, self.state, record, event)
        checked = self._checked
        checked["generations"] += 1
        checked["kept"] += len(rows)
        if record is None:
            return _recorded(self.configured.policy, offset, None, None, told, rows)
        verdict = decider.empty_verdict(self.state, offset)
        if event is not None:
            checked["instructions"] += len(event.instructions)
            checked["rejected"] += len(event.instructions) - len(rows)
            check_read(self.findings, record, event)
            try:
                verdict = decider.decide(self.state, offset, record.id, event)
            except MalformedEvent as error:
                self.findings.cannot_read(record, str(error))
        if self._uncounted:
            rejected = verdict.rejected
            totals = msgspec.structs.replace(rejected, kept_total=rejected.kept_total + self._uncounted)
            verdict = Verdict(verdict.decision, totals)
        decision = verdicts.check(self.configured.policy, verdict, told, rows, self.findings)
        if decision is not verdict.decision:
            self._count(told, decision)
        return decision

    def _take_as_recorded(
        self,
        offset: int,
        record: Record | None,
        event: InstructionsGenerated | None,
        told: Record | None,
        rows: list[Record],
    ) -> Decision:
        self._classifiers.use(offset, self.state)
        if self._whole is not None:
            self._whole.before(offset, self.state, record, event)
        decision = _recorded(self.configured.policy, offset, event, record, told, rows)
        if told is None and event is not None and self.state.lanes.fresh(event.lane, event.number):
            decision = msgspec.structs.replace(decision, generated=len(event.instructions))
        self._count(told, decision)
        return decision

    def _count(self, told: Record | None, decision: Decision) -> None:
        """Remember how many more rows the filter has counted than stand on the log, so that it is told once only."""
        word = None if told is None else told.event
        if isinstance(word, InstructionsRejected) and word.kept != len(decision.kept):
            self._uncounted = word.kept_total - len(self.state.kept) - len(decision.kept)

    def _catch_up(self) -> None:
        """Bring the index up to what was taken as recorded: many decisions at once, which is quicker."""
        decider.index(self.state, self._skipped)
        self._skipped.clear()

    def _cannot_read(self, record: Record) -> None:
        self.findings.cannot_read(record, str(record.error or f"{record.topic} takes InstructionsGenerated only."))

    def _now(self) -> AuditState:
        pool = self.pool
        return AuditState(
            applied=self.state.applied,
            kept_total=len(self.state.kept),
            generated_total=self.state.generated_total,
            classifier_offset=self.state.classifier_offset,
            commands_offset=None if pool is None else pool.commands_offset,
            seeds=None if pool is None else len(pool.active),
        )


class _Whole:
    """What the conductor checks besides: the log as a whole, and the half of it that is not the filter's."""

    def __init__(
        self,
        configured: RunConfigured,
        by_topic: dict[str, list[EffectStream]],
        kept: list[list[str]],
        findings: Findings,
        digests: Digests,
    ) -> None:
        self._policy = configured.policy
        self._findings = findings
        self._digests = digests
        self._lanes = LaneNumbers()
        self._answers = GenerationAnswers(by_topic["calls"][0], findings)
        self._judged = JudgementAudit(by_topic["judged"][0], self._answers, findings, digests)
        self.feedback = FeedbackAudit(
            configured, by_topic["training-log"][0], by_topic["seed-commands"][0], self._judged, kept, findings, digests
        )
        self._said = RepeatCheck(findings)
        digests.add("run", _encode((policy_content(configured.policy), configured.seeds)))

    @property
    def checked(self) -> dict[str, int]:
        return {
            "answers": self._answers.count,
            "windows": self.feedback.windows,
            "commands": self.feedback.commands,
        } | ({"judged": self._judged.count} if self._judged.count else {})

    def see(
        self, record: Record | None, event: InstructionsGenerated | None, told: Record | None, rows: list[Record]
    ) -> None:
        """Take in what stands on the log for the next offset of `generated`."""
        if told is not None:
            self._digests.add("rejected", content(told))
        for row in rows:
            self._digests.add("kept", content(row))
        if event is None or record is None:
            return
        if record.id == ids.generation_id(event.lane, event.number) and self.fresh(record, event):
            check_lane(self._findings, record, event, self._lanes)
            self._lanes.take(event.lane, event.number)
            self._answers.check(record, event)

    def fresh(self, record: Record, event: InstructionsGenerated) -> bool:
        """Whether a generation stands on the log for the first time; the filter passes over a repeat."""
        said = generation_content(event)
        fresh = self._said.fresh(record, record.id, said)
        if fresh:
            self._digests.add("generated", said)
        return fresh

    def before(
        self, offset: int, state: FilterState, record: Record | None, event: InstructionsGenerated | None
    ) -> None:
        """Check the commands that came before a decision, and what its generation was shown."""
        self.feedback.before(offset, state)
        if record is not None and event is not None and record.id == ids.generation_id(event.lane, event.number):
            pools, known, kept = self.feedback.pools, self.feedback.known, state.kept.values()
            check_shown(self._findings, record, event, self._policy, pools, known, kept)

    def finish(self, offset: int, state: FilterState, whole: bool) -> None:
        """Check what is left after the last decision."""
        self.feedback.before(offset, state)
        self.feedback.finish(whole)
        if whole:
            self._judged.check(state.kept)
            self._answers.drain()


def _recorded(
    policy: Policy,
    offset: int,
    event: InstructionsGenerated | None,
    record: Record | None,
    told: Record | None,
    rows: list[Record],
) -> Decision:
    """The decision as the log has it, where the generation is not decided again."""
    kept = [row for record in rows if (row := row_of(record)) is not None]
    word = None if told is None else told.event
    return Decision(
        offset=offset,
        generation_id="" if record is None else record.id,
        lane="" if event is None else event.lane,
        number=-1 if event is None else event.number,
        seed_ids=() if event is None else event.seed_ids,
        generated=word.generated if isinstance(word, InstructionsRejected) else 0,
        kept=tuple(sorted(kept, key=lambda row: row.place)),
        uncounted=uncounted(policy, word.rejections) if isinstance(word, InstructionsRejected) else 0,
    )
