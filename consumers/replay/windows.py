"""The feedback half of an audit: windows of the trainer, and the commands that answer them.

A window is checked against the kept rows: within an epoch each cluster's rows are trained in the order they were kept,
none left out. A command is decided again from the pool and the scores at the offsets that it says it reflects.
"""

from collections import Counter, defaultdict

from consumers.replay.digests import Digests, command_content, window_content
from consumers.replay.effects import EffectStream, content
from consumers.replay.findings import Findings, Kind, differences, place_of
from consumers.replay.generations import PoolHistory
from consumers.replay.judgements import JudgementAudit
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.errors import MalformedEvent
from schemas.events import BatchRow, ReplaceSeeds, RunConfigured, TrainingLogged
from streams.core.decider import FilterState
from streams.core.feedback import answer
from streams.core.seeds import SeedPool

_EVERY = 2**63


class FeedbackAudit:
    """Follows `training-log` and `seed-commands`; `before` brings it up to the next decision of the filter."""

    def __init__(
        self,
        configured: RunConfigured,
        training: EffectStream,
        commands: EffectStream,
        judged: JudgementAudit,
        kept_by_cluster: list[list[str]],
        findings: Findings,
        digests: Digests,
    ) -> None:
        self.pool = SeedPool.of(configured.seeds)
        self.pools = PoolHistory(self.pool)
        self.windows = 0
        self.commands = 0
        self._policy = configured.policy
        self._training = training
        self._commands = commands
        self._judged = judged
        self._kept = kept_by_cluster
        self._findings = findings
        self._digests = digests
        self._command: tuple[Record, ReplaceSeeds] | None = None
        self._window: tuple[Record, TrainingLogged] | None = None
        self._seen = RepeatCheck(findings)
        self._answered = RepeatCheck(findings)
        self._as_of: dict[tuple[int, int], tuple[int, int]] = {}
        self._step = 0
        self._trained: dict[int, Counter[int]] = defaultdict(Counter)
        self.known = -1  # last record of `seed-commands` that lies before the next command, repeats too
        self._command = self._next_command()

    def before(self, offset: int, state: FilterState) -> None:
        """Check the commands that were decided before the filter decided on `offset`."""
        while self._command is not None and self._command[1].as_of_offset < offset:
            record, command = self._command
            self.known = record.offset
            self._check(record, command, state)
            if self.pool.apply(command, record.offset):
                self._digests.add("seed-commands", command_content(command))
                self.pools.add(self.pool)
            self._command = self._next_command()

    def finish(self, whole: bool) -> None:
        """Check the windows that no command has answered yet, and what is left of the commands."""
        while self._window_after(_EVERY) is not None:
            self._window = None
        if self._command is not None and whole:
            record, command = self._command
            self._findings.diverged(
                "unexpected",
                place_of(record),
                command.as_of_offset,
                f"The command at {record.offset} of seed-commands reflects offset {command.as_of_offset} of generated, "
                "on which the filter has not said anything.",
                id=record.id,
            )

    def _next_command(self) -> tuple[Record, ReplaceSeeds] | None:
        while (record := self._commands.take()) is not None:
            if not isinstance(record.event, ReplaceSeeds):
                _unreadable(self._findings, record, ReplaceSeeds)
            elif self._is_first(record, record.event):
                return record, record.event
            self.known = record.offset
        return None

    def _is_first(self, record: Record, command: ReplaceSeeds) -> bool:
        """Whether a command is the first for its window, which is the one that counts.

        Two workers, one of which does not know yet that it was replaced, may both answer a window, each by what its
        own filter had decided and a judge had said. As of the same offsets both say the same.
        """
        window, as_of = (command.epoch, command.window), (command.as_of_offset, command.judged_offset)
        if self._as_of.setdefault(window, as_of) != as_of:
            self._findings.repeated(record, record.id)
            return False
        return self._answered.fresh(record, f"{command.epoch}/{command.window}", content(record))

    def _check(self, record: Record, command: ReplaceSeeds, state: FilterState) -> None:
        self.commands += 1
        found = self._window_of(record, command)
        if found is None:
            return
        judge = self._judged.judge(command.judged_offset)
        if command.judged_offset > judge.offset:
            self._findings.diverged(
                "unexpected",
                place_of(record),
                command.as_of_offset,
                f"The command at {record.offset} of seed-commands reflects offset {command.judged_offset} of judged, "
                f"whose last is {judge.offset}.",
                id=record.id,
            )
        decided = answer(
            self._policy,
            self.pool,
            state.scores,
            state.kept,
            found,
            command.training_offset,
            command.as_of_offset,
            judge,
            command.judged_offset,
        )
        if decided != command:
            kind, what = _what(command, decided)
            recorded_fields, decided_fields = differences(command, decided)
            self._findings.diverged(
                kind,
                place_of(record),
                command.as_of_offset,
                f"The command at {record.offset} of seed-commands, for window {command.window} of epoch "
                f"{command.epoch}, {what}.",
                id=record.id,
                recorded=recorded_fields,
                decided=decided_fields,
            )

    def _window_of(self, record: Record, command: ReplaceSeeds) -> TrainingLogged | None:
        """The window that a command answers; those before it that were passed over are told."""
        while (found := self._window_after(command.training_offset)) is not None:
            at, window = found
            if at.offset == command.training_offset:
                self._window = None
                if (window.epoch, window.window) == (command.epoch, command.window):
                    return window
                break
            self._window = None
            if self._policy.feedback:
                self._findings.diverged(
                    "unanswered",
                    place_of(at),
                    command.as_of_offset,
                    f"Window {window.window} of epoch {window.epoch}, at {at.offset} of training-log, has no command.",
                    id=at.id,
                )
        self._findings.diverged(
            "unexpected",
            place_of(record),
            command.as_of_offset,
            f"The command at {record.offset} of seed-commands answers window {command.window} of epoch "
            f"{command.epoch}, which is not at {command.training_offset} of training-log.",
            id=record.id,
        )
        return None

    def _window_after(self, last: int) -> tuple[Record, TrainingLogged] | None:
        """The next fresh window up to and with offset `last` of `training-log`."""
        while self._window is None and (record := self._training.take()) is not None:
            if not isinstance(record.event, TrainingLogged):
                _unreadable(self._findings, record, TrainingLogged)
            else:
                said = window_content(record.event)
                if not self._seen.fresh(record, f"{record.event.epoch}/{record.event.window}", said):
                    continue
                self._see(record, record.event, said)
                self._window = record, record.event
        return self._window if self._window is not None and self._window[0].offset <= last else None

    def _see(self, record: Record, window: TrainingLogged, said: bytes) -> None:
        self.windows += 1
        self._digests.add("training-log", said)
        for step in window.steps:
            if step.step != self._step + 1:
                self._findings.diverged(
                    "steps",
                    place_of(record),
                    self._findings.state().applied,
                    f"Step {step.step} stands at {record.offset} of training-log, after step {self._step}.",
                    id=record.id,
                    recorded=step.step,
                    decided=self._step + 1,
                )
            self._step = step.step
            for row in step.rows:
                self._check_row(record, window.epoch, step.step, row)

    def _check_row(self, record: Record, epoch: int, step: int, row: BatchRow) -> None:
        kept = self._kept[row.cluster] if row.cluster < len(self._kept) else []
        place = self._trained[epoch][row.cluster]
        self._trained[epoch][row.cluster] += 1
        expected = kept[place] if place < len(kept) else None
        if expected is None and row.generated_offset > self._findings.state().applied:
            return  # kept by a filter that died before it said that it was done with the generation
        if row.id != expected:
            self._findings.diverged(
                "batch",
                place_of(record),
                row.generated_offset,
                f"Step {step} of epoch {epoch} trained row {row.id} of cluster {row.cluster}, whose next row was "
                f"{expected}.",
                id=row.id,
                recorded=row.id,
                decided=expected,
            )


def _what(recorded: ReplaceSeeds, decided: ReplaceSeeds) -> tuple[Kind, str]:
    if (recorded.outcome, recorded.step, recorded.value, recorded.metric) != (
        decided.outcome,
        decided.step,
        decided.value,
        decided.metric,
    ):
        return "outcome", f"is {recorded.outcome} by step {recorded.step}, but {decided.outcome} by step {decided.step}"
    if recorded.candidates != decided.candidates:
        return "candidates", "has other verdicts on its candidates"
    victims = [[replacement.victim_id for replacement in side.replacements] for side in (recorded, decided)]
    if victims[0] != victims[1]:
        return "victim", f"replaces {', '.join(victims[0]) or 'nothing'}, but {', '.join(victims[1]) or 'nothing'} goes"
    scores = [[(r.victim_kept, r.victim_generated) for r in side.replacements] for side in (recorded, decided)]
    if scores[0] != scores[1]:
        return "score", f"has its victims' scores (kept, generated) as {scores[0]}, but they are {scores[1]}"
    return "altered", "is another one"


def _unreadable(findings: Findings, record: Record, cls: type) -> None:
    findings.cannot_read(record, str(record.error or MalformedEvent(f"{record.topic} takes {cls.__name__} only.")))
