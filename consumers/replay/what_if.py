"""What another policy would have made of the same answers: no call is made, nothing is written.

The recorded generations are decided by the other policy from the first on: its rules, threshold, clusters, and what its
feedback would have put into the seed pool. Unknown stay the answers of the LLM to other seeds, and the measurements of
training on other batches: the windows are the recorded ones.

A judge's scores are those that the recorded commands used. Where the run itself used none, all on the log count, as if
the judge had been there in time.
"""

from collections.abc import Callable

import msgspec

from consumers.replay.effect_stream import EffectStream
from consumers.replay.effects import Effects, EndOfVerdicts, RecordedGeneration
from consumers.replay.findings import AuditState, Findings
from consumers.replay.other_feedback import OtherFeedback
from consumers.replay.tally import Tally, WhatIfOutcome
from infra.embeddings import embedder_for
from infra.record import Record
from infra.run import configuration
from infra.source import Reading, Source
from schemas.errors import MalformedEvent
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, RunConfigured
from schemas.policy import Policy
from streams.core import decider

Progress = Callable[[int, int], None]

_TOPICS = ("run", "generated", "kept", "rejected", "judged", "training-log", "seed-commands")


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The run as it was, and as it would have been, on the generations up to `through_offset`.

    changed                            fields of the policy: as they were, as they are here
    in_both, only_real, only_what_if   kept instructions
    """

    run: str
    through_offset: int
    changed: dict[str, tuple[object, object]]
    real: WhatIfOutcome
    what_if: WhatIfOutcome
    in_both: int
    only_real: int
    only_what_if: int


def what_if(source: Source, policy: Policy, *, progress: Progress = lambda done, of: None) -> WhatIf:
    """Decide a run's generations by another policy, beside the recorded decisions.

    Raises RunError when there is no such run, ConfigurationError when the run's seeds cannot be clustered by it.
    """
    configured, _ = configuration(source)
    with source.open(_TOPICS) as reading:
        return _Comparison(configured, policy, reading).run(progress)


class _Comparison:
    """One pass over a run by two policies: the recorded one's decisions are read, the other's made."""

    def __init__(self, configured: RunConfigured, policy: Policy, reading: Reading) -> None:
        self._configured = configured
        self._policy = policy
        findings = Findings(_nothing_known, conducting=False)
        streams = {place: EffectStream(reading, *place, findings) for place in reading.ends()}
        kept = [stream for (topic, _), stream in sorted(streams.items()) if topic == "kept"]
        self._effects = Effects(streams["generated", 0], streams["rejected", 0], kept, findings)
        self._state = decider.initial_state(msgspec.structs.replace(configured, policy=policy), embedder_for(policy))
        self._recorded, self._other = Tally(configured.policy), Tally(policy)
        by_topic = {topic: stream for (topic, partition), stream in streams.items() if partition == 0}
        self._feedback = OtherFeedback(configured, policy, by_topic, self._recorded, self._other)
        self._in_both = 0

    def run(self, progress: Progress) -> WhatIf:
        state, end = self._state, self._effects.end
        decider.use_classifier(state, decider.first_classifier(self._policy, self._configured.seeds, state.embedder))
        offset = 0
        while offset < end:
            try:
                found = self._effects.take(offset)
            except EndOfVerdicts:
                break
            if found.record is not None and found.verdict is not None:
                self._decide(found, found.record)
            offset += 1
            self._feedback.before(offset, state)
            progress(offset, end)
        recorded, other, before = self._recorded.outcome(), self._other.outcome(), self._configured.policy
        return WhatIf(
            run=self._configured.run,
            through_offset=offset - 1,
            changed={
                name: (getattr(before, name), getattr(self._policy, name))
                for name in Policy.__struct_fields__
                if getattr(before, name) != getattr(self._policy, name)
            },
            real=recorded,
            what_if=other,
            in_both=self._in_both,
            only_real=recorded.kept - self._in_both,
            only_what_if=other.kept - self._in_both,
        )

    def _decide(self, found: RecordedGeneration, record: Record) -> None:
        state, event, rejected = self._state, found.event, found.rejected
        verdict = decider.empty_verdict(state, found.offset)
        if event is not None and rejected is not None:
            fresh = state.lanes.fresh(event.lane, event.number)
            try:
                verdict = decider.decide(state, found.offset, record.id, event)
            except MalformedEvent:
                fresh = False
            if fresh:
                self._compare(event, found, rejected, verdict)
        decider.evolve(state, verdict.decision)
        due = decider.due_classifier(state)
        if due is not None:
            decider.use_classifier(state, due)

    def _compare(
        self,
        event: InstructionsGenerated,
        found: RecordedGeneration,
        rejected: InstructionsRejected,
        verdict: decider.Verdict,
    ) -> None:
        kept = [row.event for row in found.rows if isinstance(row.event, InstructionKept)]
        self._recorded.add(event, kept, rejected)
        self._other.add(event, verdict.decision.kept, verdict.rejected)
        self._in_both += len({row.id for row in kept} & {row.id for row in verdict.decision.kept})


def _nothing_known() -> AuditState:
    return AuditState(
        applied=-1, kept_total=0, generated_total=0, classifier_offset=0, commands_offset=None, seeds=None
    )
