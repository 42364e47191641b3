"""What another policy would have made of the same answers: no call is made, nothing is written.

The recorded generations are decided by the other policy from the first on: its rules, threshold, clusters, and what its
feedback would have put into the seed pool. Unknown stay the answers of the LLM to other seeds, and the measurements of
training on other batches: the windows are the recorded ones.

Instructions whose outputs were asked for can be decided as if only kept ones were answered (`answer=kept`): by the
instruction alone, and the answers that this saves are counted. Not the reverse, because answers that nobody asked for
are unknown.

Rows that were released are released at the same place, if they are kept here too.

A judge's scores are those that the recorded commands used. Where the run itself used none, all on the log count, as if
the judge had been there in time.
"""

import gc
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from consumers.replay.answer_costs import AskedAnswers, answers_of_rows, as_listed
from consumers.replay.auditor import FROZEN_EVERY, Progress
from consumers.replay.effect_stream import EffectStream
from consumers.replay.effects import Effects, EndOfVerdicts, RecordedGeneration
from consumers.replay.findings import AuditState, Findings
from consumers.replay.other_feedback import OtherFeedback
from infra.log.record import Record
from infra.log.run import configuration
from infra.log.source import Reading, Source
from infra.models.embeddings import embedder_for
from schemas.errors import ConfigurationError, MalformedEvent
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, ReplaceSeeds, RunConfigured
from schemas.policy import Policy
from streams.core import decider
from streams.core.releases import recorded_releases, release, releases

Watch = Callable[[InstructionsGenerated, int, int], None]
"""Called with each decided generation, and with how many the run and the other policy keep of it."""

_POINTS = 200
_TOPICS = ("run", "generated", "kept", "rejected", "answered", "judged", "training-log", "seed-commands")


class WhatIfOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of the answers.

    yield                 kept / generated
    clusters              kept instructions in each cluster
    balance               entropy of the clusters over that of equal ones: 1 when all are equally full
    calls                 answered calls of the generations and of the answers to kept instructions
    tokens                of these calls, prompts included; None when one of them has no known number
    calls_per_1000_kept   None when nothing is kept
    usd                   cost of the calls, None when one of them has no known cost
    unused                kept instructions whose answer is not used, by reason: answers are asked for afterwards
    replacements          seeds that the recorded windows replace
    curve                 (generated, kept) at regular intervals
    """

    policy: Policy
    generations: int
    generated: int
    kept: int
    kept_share: float | None = msgspec.field(name="yield")
    rejected: dict[str, int]
    clusters: tuple[int, ...]
    balance: float | None
    calls: int
    calls_per_1000_kept: float | None
    tokens: int | None
    usd: float | None
    usd_per_1000_kept: float | None
    windows: int
    replacements: int
    curve: tuple[tuple[int, int], ...]
    unused: dict[str, int] = {}


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


def what_if(
    source: Source,
    policy: Policy,
    *,
    progress: Progress = lambda done, of: None,
    watch: Watch = lambda event, kept, what_if_kept: None,
) -> WhatIf:
    """Decide a run's generations by another policy, beside the recorded decisions.

    Raises RunError when there is no such run, ConfigurationError when the run's seeds cannot be clustered by it, or
    when it needs answers that the run never asked for, or releases that it did not make.
    """
    configured, _ = configuration(source)
    if configured.policy.answer == "kept" and policy.answer == "all":
        raise ConfigurationError(
            f"{source.name} has no answers to the instructions that were not kept: it was made with answer=kept. Leave "
            "out answer=all; the other settings can be tried. A run that answers all can be tried with answer=kept."
        )
    if releases(policy) and not releases(configured.policy):
        raise ConfigurationError(
            f"{source.name} released no rows, so its log does not say when it would have. Leave out "
            "failed_answer=releases; other settings can be tried. A run that releases can be tried with "
            "failed_answer=blocks."
        )
    with source.open(_TOPICS) as reading:
        try:
            return _Comparison(configured, policy, reading, watch).run(progress)
        finally:
            gc.unfreeze()


@dataclass
class _Tally:
    """Counts one side."""

    policy: Policy
    asked: AskedAnswers
    rejected: Counter[str] = field(default_factory=Counter)
    clusters: Counter[int] = field(default_factory=Counter)
    generations: int = 0
    generated: int = 0
    kept: int = 0
    windows: int = 0
    replacements: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list)

    def add(
        self, event: InstructionsGenerated, kept: Sequence[InstructionKept], rejected: InstructionsRejected
    ) -> None:
        """Count a decided generation."""
        self.generations += 1
        self.generated += len(event.instructions)
        self.kept += len(kept)
        self.clusters.update(row.cluster for row in kept)
        self.rejected.update(rejection.reason for rejection in rejected.rejections)
        self.curve.append((self.generated, self.kept))

    def add_command(self, command: ReplaceSeeds) -> None:
        """Count an answered window."""
        self.windows += 1
        self.replacements += len(command.replacements)

    def outcome(self) -> WhatIfOutcome:
        """The numbers so far."""
        sizes = tuple(self.clusters[cluster] for cluster in range(self.policy.clusters))
        step = max(1, len(self.curve) // _POINTS)
        per_kept = 1000 / self.kept if self.kept else None
        costs = self.asked.costs
        return WhatIfOutcome(
            policy=self.policy,
            generations=self.generations,
            generated=self.generated,
            kept=self.kept,
            kept_share=self.kept / self.generated if self.generated else None,
            rejected=dict(self.rejected.most_common()),
            clusters=sizes,
            balance=_balance(sizes),
            calls=costs.calls,
            calls_per_1000_kept=None if per_kept is None else costs.calls * per_kept,
            tokens=costs.tokens,
            usd=costs.cost_usd,
            usd_per_1000_kept=None if per_kept is None or costs.cost_usd is None else costs.cost_usd * per_kept,
            unused=self.asked.unused,
            windows=self.windows,
            replacements=self.replacements,
            curve=tuple(sorted({*self.curve[::step], *self.curve[-1:]})),
        )


class _Comparison:
    """One pass over a run by two policies: the recorded one's decisions are read, the other's made."""

    def __init__(self, configured: RunConfigured, policy: Policy, reading: Reading, watch: Watch) -> None:
        self._configured = configured
        self._watch = watch
        self._policy = policy
        findings = Findings(_nothing_known, conducting=False)
        streams = {place: EffectStream(reading, *place, findings) for place in reading.ends()}
        kept = [stream for (topic, _), stream in sorted(streams.items()) if topic == "kept"]
        self._effects = Effects(streams["generated", 0], streams["rejected", 0], kept, findings)
        self._state = decider.initial_state(msgspec.structs.replace(configured, policy=policy), embedder_for(policy))
        own = configured.policy
        self._recorded, self._other = (_Tally(each, AskedAnswers(each)) for each in (own, policy))
        self._answered = answers_of_rows(stream for (topic, _), stream in streams.items() if topic == "answered")
        by_topic = {topic: stream for (topic, partition), stream in streams.items() if partition == 0}
        self._releases = recorded_releases(record.event for record in iter(streams["run", 0].take, None))
        self._feedback = OtherFeedback(configured, policy, by_topic)
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
            for command, other in self._feedback.before(offset, state):
                self._recorded.add_command(command)
                if other is not None:
                    self._other.add_command(other)
            progress(offset, end)
            if offset % FROZEN_EVERY == 0:
                gc.freeze()  # as in an audit
        real, what_if, before = self._recorded.outcome(), self._other.outcome(), self._configured.policy
        return WhatIf(
            run=self._configured.run,
            through_offset=offset - 1,
            changed={
                name: (getattr(before, name), getattr(self._policy, name))
                for name in Policy.__struct_fields__
                if getattr(before, name) != getattr(self._policy, name)
            },
            real=real,
            what_if=what_if,
            in_both=self._in_both,
            only_real=real.kept - self._in_both,
            only_what_if=what_if.kept - self._in_both,
        )

    def _decide(self, found: RecordedGeneration, record: Record) -> None:
        state, event, rejected = self._state, found.event, found.rejected
        released = self._releases.by_offset.get(found.offset)
        if released is not None:
            release(state, released)
        verdict = decider.empty_verdict(state, found.offset)
        if event is not None and rejected is not None:
            fresh = state.lanes.fresh(event.lane, event.number)
            try:
                verdict = decider.decide(state, found.offset, record.id, as_listed(event, self._policy))
            except MalformedEvent:
                fresh = False
            if fresh:
                self._compare(event, found, rejected, verdict)
        decider.apply(state, verdict.decision)
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
        for tally, rows in ((self._recorded, kept), (self._other, verdict.decision.kept)):
            tally.asked.add(
                event, rows, self._answered, recorded=self._configured.policy, recorded_kept={row.id for row in kept}
            )
        self._watch(event, len(kept), len(verdict.decision.kept))
        self._in_both += len({row.id for row in kept} & {row.id for row in verdict.decision.kept})


def _nothing_known() -> AuditState:
    return AuditState(
        applied=-1, kept_total=0, generated_total=0, classifier_offset=0, commands_offset=None, seeds=None
    )


def _balance(sizes: tuple[int, ...]) -> float | None:
    total = sum(sizes)
    if not total or len(sizes) == 1:
        return None
    return -sum(size / total * math.log(size / total) for size in sizes if size) / math.log(len(sizes))
