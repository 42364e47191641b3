"""The log as a whole, beside the filter's decisions: lanes, answers, what was shown, documents, segments, windows,
commands, answered rows, judgements, evaluations.

One process of an audit checks this, the conductor (`consumers.replay.auditor`).
"""

from collections.abc import Sequence

import msgspec

from consumers.replay.answered import AnsweredSoFar
from consumers.replay.commands import CommandAudit
from consumers.replay.digests import Digests, generation_content, policy_content
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.effects import RecordedGeneration
from consumers.replay.evaluations import EvaluationAudit
from consumers.replay.findings import Findings
from consumers.replay.generations import GenerationAnswers, check_lane, check_shown
from consumers.replay.judgements import JudgementAudit
from consumers.replay.repeats import RepeatCheck
from consumers.replay.row_answers import RowAnswerAudit
from consumers.replay.segments import SegmentAudit
from consumers.replay.windows import WindowAudit
from consumers.replay.withdrawn import WithdrawnSoFar
from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionKept, InstructionsGenerated, RunConfigured
from streams.core.decider import Decision, FilterState
from streams.core.kept_so_far import KeptText
from streams.core.lanes import LaneNumbers
from streams.core.seeds import SeedPool
from streams.core.steering import SteeringHistory, steers

_encode = msgspec.json.Encoder().encode


class LogAudit:
    """Follows the other topics in step with `generated`; `kept` are the ids of the kept rows so far, by cluster, and
    `rows` the rows, in total order.

    answered   the answers to kept rows, as far as they were read
    """

    def __init__(
        self,
        configured: RunConfigured,
        streams: dict[str, list[EffectStream]],
        kept: Sequence[Sequence[str]],
        rows: Sequence[InstructionKept],
        withdrawn: WithdrawnSoFar,
        findings: Findings,
        digests: Digests,
    ) -> None:
        self._policy = configured.policy
        self._findings = findings
        self._digests = digests
        self._lanes = LaneNumbers()
        self._repeats = RepeatCheck(findings)
        self._answers = GenerationAnswers(streams["calls"][0], findings)
        self._judged = JudgementAudit(streams["judged"][0], self._answers, findings, digests)
        self._rows = rows
        self._withdrawn = withdrawn
        self._row_answers = RowAnswerAudit(configured.policy, self._answers, findings, digests)
        self._answered_streams = streams["answered"]
        self.answered = AnsweredSoFar(streams["answered"])
        apart = self.answered if configured.policy.answer == "kept" else None
        self._windows = WindowAudit(streams["training-log"][0], kept, withdrawn, findings, digests, apart)
        self._commands = CommandAudit(
            configured, streams["seed-commands"][0], self._windows, self._judged, findings, digests, apart
        )
        self._evaluations = EvaluationAudit(streams, self._answers, findings, digests)
        self._steering = SteeringHistory(configured.policy) if steers(configured.policy) else None
        self._segments = SegmentAudit(streams["documents"][0], findings, digests)
        digests.add("run", _encode((policy_content(configured.policy), configured.seeds)))

    @property
    def pool(self) -> SeedPool:
        """The seed pool after the commands so far."""
        return self._commands.pool

    @property
    def checked(self) -> dict[str, int]:
        """How many of each were checked."""
        optional = {"answered": self._row_answers.count, "judged": self._judged.count}
        optional |= self._segments.count | self._evaluations.count
        return {
            "answers": self._answers.count,
            "windows": self._windows.count,
            "commands": self._commands.count,
            **{name: count for name, count in optional.items() if count},
        }

    @property
    def waiting(self) -> int | msgspec.UnsetType:
        """Kept rows whose answer is still to come; unset in a run that answers all instructions."""
        return self._row_answers.waiting if self._policy.answer == "kept" else msgspec.UNSET

    def see(self, found: RecordedGeneration) -> None:
        """Check the next offset of `generated` as far as no state is needed."""
        if found.verdict is not None:
            self._digests.add("rejected", content(found.verdict))
        for row in found.rows:
            self._digests.add("kept", content(row))
        record, event = found.record, found.event
        self._withdrawn.see(event, found.rows)
        if record is None or event is None or record.id != ids.generation_id(event.lane, event.number):
            return
        if self.fresh(record, event):
            check_lane(self._findings, record, event, self._lanes)
            self._lanes.take(event.lane, event.number)
            self._answers.check(record, event)
            self._segments.note(record, event)

    def fresh(self, record: Record, event: InstructionsGenerated) -> bool:
        """Whether a generation is no repeat; the filter passes over repeats."""
        content = generation_content(event)
        fresh = self._repeats.fresh(record, event, content)
        if fresh:
            self._digests.add("generated", content)
        return fresh

    def before(self, found: RecordedGeneration, state: FilterState) -> None:
        """Check the commands before a decision, and what its generation was shown."""
        self._commands.before(found.offset, state)
        record, event = found.record, found.event
        if record is not None and event is not None and record.id == ids.generation_id(event.lane, event.number):
            check_shown(self._findings, record, event, self._policy, self._commands.pools, self._rows, self._steering)

    def after(self, decision: Decision) -> None:
        """Take the decision that the audit goes on from."""
        if self._steering is not None:
            self._steering.decide(
                decision.offset,
                decision.lane,
                decision.number,
                decision.seed_ids,
                generated=decision.generated,
                uncounted=decision.uncounted,
                kept=len(decision.kept),
                rows=[(row.cluster, KeptText(row.id, row.instruction)) for row in decision.kept],
            )

    def finish(self, offset: int, state: FilterState, whole: bool) -> None:
        """Check what is left after the last decision; of a `whole` log, all of it."""
        self._commands.before(offset, state)
        self._commands.finish(whole)
        self._segments.check(whole)
        if whole:
            self.answered.finish()
            self._row_answers.check(self._answered_streams, state.kept)
            self._judged.check(state.kept)
            self._evaluations.check()
            self._answers.drain()
