"""What other settings would have made of the same answers: no call is made, nothing is written.

The recorded generations are decided by another policy, from the first on: its rules, threshold, clusters, and what its
feedback would have put into the seed pool. What that cannot tell: which answers the LLM would have given had it been
shown other seeds, and what training on other batches would have measured. The windows are those that were recorded.

A judge's scores are those that the recorded commands went by. Where the run itself asked for none, all that the log
holds count, as if the judge had been there in time.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from consumers.replay.effects import EffectStream, EndOfVerdicts, KeptEffects, RejectedEffects
from consumers.replay.findings import AuditState, Findings
from infra.embeddings import embedder_for
from infra.record import Record
from infra.run import configuration
from infra.source import Reading, Source
from schemas.errors import MalformedEvent
from schemas.events import (
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
    RunConfigured,
    TrainingLogged,
)
from schemas.policy import Policy
from streams.core import decider
from streams.core.decider import FilterState
from streams.core.feedback import answer
from streams.core.judging import FirstJudge
from streams.core.seeds import SeedPool

Progress = Callable[[int, int], None]

_TOPICS = ("run", "generated", "kept", "rejected", "judged", "training-log", "seed-commands")
_POINTS = 200


class WhatIfOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of the answers.

    yield                 kept / generated
    clusters              kept instructions in each cluster
    balance               entropy of the clusters over that of equal ones: 1 when all are equally full
    calls                 answered calls that the generations took
    calls_per_1000_kept   what a thousand kept instructions take; None when nothing is kept
    usd                   what the calls cost, None when one of them does not say
    replacements          seeds that the recorded windows replace
    curve                 (generated, kept) now and then
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
    usd: float | None
    usd_per_1000_kept: float | None
    windows: int
    replacements: int
    curve: tuple[tuple[int, int], ...]


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


@dataclass
class _Tally:
    """Counts one side."""

    policy: Policy
    rejected: Counter[str] = field(default_factory=Counter)
    clusters: Counter[int] = field(default_factory=Counter)
    generations: int = 0
    generated: int = 0
    kept: int = 0
    windows: int = 0
    replacements: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list)

    def add(self, event: InstructionsGenerated, kept: list[InstructionKept], told: InstructionsRejected) -> None:
        self.generations += 1
        self.generated += len(event.instructions)
        self.kept += len(kept)
        self.clusters.update(row.cluster for row in kept)
        self.rejected.update(rejection.reason for rejection in told.rejections)
        self.curve.append((self.generated, self.kept))

    def answered(self, command: ReplaceSeeds) -> None:
        self.windows += 1
        self.replacements += len(command.replacements)

    def outcome(self, calls: int, usd: float | None) -> WhatIfOutcome:
        sizes = tuple(self.clusters[cluster] for cluster in range(self.policy.clusters))
        step = max(1, len(self.curve) // _POINTS)
        per_kept = 1000 / self.kept if self.kept else None
        return WhatIfOutcome(
            policy=self.policy,
            generations=self.generations,
            generated=self.generated,
            kept=self.kept,
            kept_share=self.kept / self.generated if self.generated else None,
            rejected=dict(self.rejected.most_common()),
            clusters=sizes,
            balance=_balance(sizes),
            calls=calls,
            calls_per_1000_kept=None if per_kept is None else calls * per_kept,
            usd=usd,
            usd_per_1000_kept=None if per_kept is None or usd is None else usd * per_kept,
            windows=self.windows,
            replacements=self.replacements,
            curve=tuple(sorted({*self.curve[::step], *self.curve[-1:]})),
        )


def what_if(source: Source, policy: Policy, *, progress: Progress = lambda done, of: None) -> WhatIf:
    """Decide a run's generations by another policy, beside what was decided.

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
        self._end = reading.ends()["generated", 0]
        findings = Findings(_nothing_known, conducting=False)
        streams = {place: EffectStream(reading, *place, findings) for place in reading.ends()}
        self._generated = streams["generated", 0]
        self._verdicts = RejectedEffects(streams["rejected", 0], findings)
        self._rows = KeptEffects([s for (topic, _), s in sorted(streams.items()) if topic == "kept"], findings)
        self._training = streams["training-log", 0]
        self._commands = streams["seed-commands", 0]
        self._judge = FirstJudge()
        if policy.candidate_min_score is not None:
            _read(streams["judged", 0], self._judge)
        # a batch was borrowed for or not by the clusters that it was made of
        own = configured.policy
        self._feedback = msgspec.structs.replace(policy, clusters=own.clusters, batch_size=own.batch_size)
        self._windows: dict[int, TrainingLogged] = {}
        decided_otherwise = msgspec.structs.replace(configured, policy=policy)
        self._state: FilterState = decider.initial_state(decided_otherwise, embedder_for(policy))
        self._pool = SeedPool.of(configured.seeds)
        self._real_pool = SeedPool.of(configured.seeds)
        self._command = self._next_command()
        self._real, self._other = _Tally(configured.policy), _Tally(policy)
        self._in_both = 0
        self._calls = 0
        self._usd: float | None = 0.0

    def run(self, progress: Progress) -> WhatIf:
        state = self._state
        decider.use_classifier(state, decider.first_classifier(self._policy, self._configured.seeds, state.embedder))
        offset = 0
        while offset < self._end:
            record = self._generated.take()
            try:
                told = self._verdicts.on(offset)
            except EndOfVerdicts:
                break
            if record is not None and told is not None:
                self._decide(record, told, self._rows.of(offset))
            offset += 1
            self._answer_windows(offset)
            progress(offset, self._end)
        real, other = (tally.outcome(self._calls, self._usd) for tally in (self._real, self._other))
        return WhatIf(
            run=self._configured.run,
            through_offset=offset - 1,
            changed={
                name: (getattr(self._configured.policy, name), getattr(self._policy, name))
                for name in Policy.__struct_fields__
                if getattr(self._configured.policy, name) != getattr(self._policy, name)
            },
            real=real,
            what_if=other,
            in_both=self._in_both,
            only_real=real.kept - self._in_both,
            only_what_if=other.kept - self._in_both,
        )

    def _decide(self, record: Record, told: Record, rows: list[Record]) -> None:
        state, event, word = self._state, record.event, told.event
        verdict = decider.empty_verdict(state, record.offset)
        if isinstance(event, InstructionsGenerated) and isinstance(word, InstructionsRejected) and word.generation_id:
            fresh = state.lanes.fresh(event.lane, event.number)
            try:
                verdict = decider.decide(state, record.offset, record.id, event)
            except MalformedEvent:
                fresh = False
            if fresh:
                kept = [row.event for row in rows if isinstance(row.event, InstructionKept)]
                self._real.add(event, kept, word)
                self._other.add(event, list(verdict.decision.kept), verdict.rejected)
                self._in_both += len({row.id for row in kept} & {row.id for row in verdict.decision.kept})
                self._calls += len(event.answers)
                for answered in event.answers:
                    known = self._usd is not None and answered.cost_usd is not None
                    self._usd = self._usd + answered.cost_usd if known else None  # type: ignore[operator]
        decider.apply(state, verdict.decision)
        due = decider.due_classifier(state)
        if due is not None:
            decider.use_classifier(state, due)

    def _answer_windows(self, offset: int) -> None:
        """Answer the windows that were answered before the decision on an offset."""
        while self._command is not None and self._command[1].as_of_offset < offset:
            record, command = self._command
            if self._real_pool.apply(command, record.offset):
                self._real.answered(command)
                window = self._window(command.training_offset)
                if window is not None and self._policy.feedback:
                    asked = self._configured.policy.candidate_min_score is not None
                    made = answer(
                        self._feedback,
                        self._pool,
                        self._state.scores,
                        self._state.kept,
                        window,
                        command.training_offset,
                        command.as_of_offset,
                        self._judge,
                        command.judged_offset if asked else self._judge.offset,
                    )
                    self._pool.apply(made, record.offset)
                    self._other.answered(made)
            self._command = self._next_command()

    def _next_command(self) -> tuple[Record, ReplaceSeeds] | None:
        while (record := self._commands.take()) is not None:
            if isinstance(record.event, ReplaceSeeds):
                return record, record.event
        return None

    def _window(self, offset: int) -> TrainingLogged | None:
        while offset not in self._windows and (record := self._training.take()) is not None:
            self._windows.clear()  # windows are answered in order
            if isinstance(record.event, TrainingLogged):
                self._windows[record.offset] = record.event
        return self._windows.get(offset)


def _read(judged: EffectStream, judge: FirstJudge) -> None:
    while (record := judged.take()) is not None:
        judge.apply(record.event if isinstance(record.event, InstructionJudged) else None, record.offset)


def _nothing_known() -> AuditState:
    return AuditState(
        applied=-1, kept_total=0, generated_total=0, classifier_offset=0, commands_offset=None, seeds=None
    )


def _balance(sizes: tuple[int, ...]) -> float | None:
    total = sum(sizes)
    if not total or len(sizes) == 1:
        return None
    return -sum(size / total * math.log(size / total) for size in sizes if size) / math.log(len(sizes))
