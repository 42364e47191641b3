"""The audit of a run: everything that was decided is decided again, in the recorded order, and compared.

The run's total order is that of `generated`. For each of its records, in order: the release and the classifier that are
due, the commands decided by then, the generation itself (its lane, the seeds it was shown, its answers), and the
verdict on it. After a divergence the audit goes on from what was recorded, so that each fault is reported once.

Because the log leads, parts of it can be audited independently by several processes: each takes what is before its
part as recorded, which is quick, and decides its part again. One of them, the conductor, also checks the log as a whole
(`consumers.replay.log_audit`).

The audit reads a `Source` and can write nothing. Its memory is the kept rows and their index, and some hundred bytes
for each other event that may be repeated.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from consumers.replay import verdicts
from consumers.replay.classifiers import Classifiers
from consumers.replay.digests import Digests
from consumers.replay.effect_stream import EffectStream
from consumers.replay.effects import Effects, EndOfVerdicts, RecordedGeneration
from consumers.replay.extent import AuditExtent
from consumers.replay.findings import AuditState, Findings, in_order
from consumers.replay.generations import check_read
from consumers.replay.log_audit import LogAudit
from consumers.replay.releases import ReleaseAudit
from consumers.replay.result import Audit
from consumers.replay.withdrawn import WithdrawnSoFar
from infra.log.source import Reading
from infra.models.embeddings import embedder_for
from schemas.errors import MalformedEvent
from schemas.events import ClassifierFitted, InstructionKept, RunConfigured
from streams.core import decider
from streams.core.decider import Decision, FilterState, Verdict
from streams.core.seeds import SeedPool

Progress = Callable[[int, int], None]
"""Called with (records of `generated` done, records in all)."""

_SKIPPED_AT_ONCE = 5_000
FROZEN_EVERY = 500
"""Generations between two calls of `gc.freeze`."""

_CHECKED = ("generations", "instructions", "kept", "rejected")


@dataclass
class _Tally:
    """Numbers for the result.

    kept     ids of the kept rows so far, by cluster
    rows     the kept rows so far, in total order
    excess   rows that the filter has counted and that are not on the log, so that this is reported once only
    """

    kept: list[list[str]]
    rows: list[InstructionKept] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CHECKED, 0))
    from_offset: int | None = None
    pending: int = 0
    excess: int = 0


class Auditor:
    """One pass over a run."""

    def __init__(
        self,
        configured: RunConfigured,
        classifiers: tuple[ClassifierFitted, ...],
        reading: Reading,
        extent: AuditExtent,
        withdrawals: Mapping[str, int] | None = None,
    ) -> None:
        """`withdrawals`: of documents, offsets by document id, to conduct the audit; None: to decide only."""
        conducting = withdrawals is not None
        self.configured = configured
        self.state: FilterState = decider.initial_state(configured, embedder_for(configured.policy))
        self.findings = Findings(self._audit_state, conducting)
        self.timestamp_ms = 0
        self._extent = extent
        self._digests = Digests()
        self._log: LogAudit | None = None
        self._classifiers = Classifiers(configured, classifiers, self.findings, self._digests)
        self._releases = ReleaseAudit(configured, self.findings, self._digests)
        self._streams: dict[str, list[EffectStream]] = {}
        for topic, partition in sorted(reading.ends()):
            stream = EffectStream(reading, topic, partition, self.findings)
            self._streams.setdefault(topic, []).append(stream)
        self._classifiers.read(self._streams["run"][0], self._releases.see)
        self._effects = Effects(
            self._streams["generated"][0], self._streams["rejected"][0], self._streams["kept"], self.findings
        )
        self._tally = _Tally([[] for _ in self._streams["kept"]])
        if withdrawals is not None:
            withdrawn = WithdrawnSoFar(withdrawals, self._streams["documents"][0].end - 1)
            kept, rows = self._tally.kept, self._tally.rows
            self._log = LogAudit(configured, self._streams, kept, rows, withdrawn, self.findings, self._digests)
        self._skipped: list[Decision] = []

    @property
    def pool(self) -> SeedPool | None:
        """The seed pool; None without conducting."""
        return None if self._log is None else self._log.pool

    def run(self, progress: Progress) -> None:
        """Go through the log."""
        end = self._effects.end
        offset = 0
        while offset < end:
            record = self._effects.peek(offset)
            if record is not None:
                if self._extent.ended(offset, record.timestamp_ms):
                    break
                self.timestamp_ms = record.timestamp_ms
            try:
                found = self._effects.take(offset)
            except EndOfVerdicts:
                break
            self._step(found)
            offset += 1
            progress(offset, end)
            if offset % FROZEN_EVERY == 0:
                gc.freeze()  # rows are never freed: scanning all of them for garbage costs a tenth of the time
        self._catch_up()
        if self._log is not None:
            self._finish(self._log, offset)
        if self._tally.from_offset is None:
            self._tally.from_offset = offset

    def audit(self, seconds: float) -> Audit:
        """The result, which took so many seconds."""
        findings, tally = self.findings, self._tally
        found = sorted(findings.divergences, key=in_order)
        checked = tally.checked | {"classifiers": self._classifiers.count}
        if self._log is not None and self._releases.count:
            checked["releases"] = self._releases.count
        return Audit(
            run=self.configured.run,
            from_offset=tally.from_offset or 0,
            through_offset=self.state.applied,
            undecided=self._effects.end - 1 - self.state.applied if self._extent.whole else 0,
            pending=tally.pending,
            checked=checked | ({} if self._log is None else self._log.checked),
            divergences=findings.count,
            by_kind=dict(findings.by_kind.most_common()),
            first=found[0] if found else None,
            found=tuple(found),
            repeats=dict(findings.repeats_by_topic),
            repeated=tuple(findings.repeats),
            unreadable=dict(findings.unreadable_by_topic),
            not_read=tuple(findings.unreadable),
            not_in_dead_letters=(),
            digests=self._digests.values(),
            unanswered=msgspec.UNSET if self._log is None or not self._extent.whole else self._log.waiting,
            records=sum(stream.records for streams in self._streams.values() for stream in streams),
            seconds=seconds,
        )

    def _finish(self, log: LogAudit, offset: int) -> None:
        whole = self._extent.whole
        if whole:
            self._releases.finish(offset, self.state, log.answered)
            self._tally.pending = self._effects.finish()
        log.finish(offset, self.state, whole)
        while whole and (undecided := self._effects.take_undecided()) is not None:
            log.fresh(*undecided)

    def _step(self, found: RecordedGeneration) -> None:
        if not self.findings.deciding and found.record is not None and self._extent.begun(found.record):
            self._tally.from_offset = found.offset
            self._catch_up()
            self.findings.deciding = True
        if self._log is not None:
            self._log.see(found)
        self._releases.before(found.offset, self.state, None if self._log is None else self._log.answered)
        decision = self._decide(found) if self.findings.deciding else self._take_as_recorded(found)
        if self._log is not None:
            self._log.after(decision)
        for row in decision.kept:
            if row.cluster < len(self._tally.kept):
                self._tally.kept[row.cluster].append(row.id)
            if row.id not in self.state.kept:
                self._tally.rows.append(row)
        if self.findings.deciding:
            decider.apply(self.state, decision)
            return
        decider.note(self.state, decision)
        self._skipped.append(decision)
        if len(self._skipped) >= _SKIPPED_AT_ONCE:
            self._catch_up()

    def _decide(self, found: RecordedGeneration) -> Decision:
        record, event, checked = found.record, found.event, self._tally.checked
        self._classifiers.check(found.offset, self.state)
        if self._log is not None:
            self._log.before(found, self.state)
        checked["generations"] += 1
        checked["kept"] += len(found.rows)
        if record is None:
            return found.decision(self.configured.policy)
        verdict = decider.empty_verdict(self.state, found.offset)
        if event is not None:
            checked["instructions"] += len(event.instructions)
            checked["rejected"] += len(event.instructions) - len(found.rows)
            check_read(self.findings, record, event)
            try:
                verdict = decider.decide(self.state, found.offset, record.id, event)
            except MalformedEvent as error:
                self.findings.cannot_read(record, str(error))
        if self._tally.excess:
            rejected = verdict.rejected
            totals = msgspec.structs.replace(rejected, kept_total=rejected.kept_total + self._tally.excess)
            verdict = Verdict(verdict.decision, totals)
        decision = verdicts.check(self.configured.policy, verdict, found, self.findings)
        if decision is not verdict.decision:
            self._count_excess(found, decision)
        return decision

    def _take_as_recorded(self, found: RecordedGeneration) -> Decision:
        event = found.event
        self._classifiers.use(found.offset, self.state)
        if self._log is not None:
            self._log.before(found, self.state)
        decision = found.decision(self.configured.policy)
        if found.verdict is None and event is not None and self.state.lanes.fresh(event.lane, event.number):
            decision = msgspec.structs.replace(decision, generated=len(event.instructions))
        self._count_excess(found, decision)
        return decision

    def _count_excess(self, found: RecordedGeneration, decision: Decision) -> None:
        recorded = found.rejected
        if recorded is not None and recorded.kept != len(decision.kept):
            self._tally.excess = recorded.kept_total - len(self.state.kept) - len(decision.kept)

    def _catch_up(self) -> None:
        """Index the rows of the decisions that were taken as recorded: many at once, which is quicker."""
        decider.index(self.state, self._skipped)
        self._skipped.clear()

    def _audit_state(self) -> AuditState:
        pool = self.pool
        return AuditState(
            applied=self.state.applied,
            kept_total=len(self.state.kept),
            generated_total=self.state.generated_total,
            classifier_offset=self.state.classifier_offset,
            commands_offset=None if pool is None else pool.commands_offset,
            seeds=None if pool is None else len(pool.active),
        )
