"""Commands in an audit: each is decided again from its window, the pool, and the scores at the offsets it reflects."""

from consumers.replay.answered import AnsweredSoFar
from consumers.replay.digests import Digests, command_content
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings, Kind, differences, place_of
from consumers.replay.generations import PoolHistory
from consumers.replay.judgements import JudgementAudit
from consumers.replay.repeats import RepeatCheck
from consumers.replay.windows import WindowAudit, cannot_read
from infra.log.record import Record
from schemas.events import ReplaceSeeds, RunConfigured, TrainingLogged
from streams.core.decider import FilterState
from streams.core.feedback import answer
from streams.core.seeds import SeedPool


class CommandAudit:
    """Follows `seed-commands`; `before` checks what precedes the next decision of the filter."""

    def __init__(
        self,
        configured: RunConfigured,
        stream: EffectStream,
        windows: WindowAudit,
        judged: JudgementAudit,
        findings: Findings,
        digests: Digests,
        answered: AnsweredSoFar | None = None,
    ) -> None:
        """`answered` None: rows have their outputs when they are kept."""
        self.pool = SeedPool.of(configured.seeds)
        self.pools = PoolHistory(self.pool)
        self.count = 0
        self._policy = configured.policy
        self._stream = stream
        self._windows = windows
        self._judged = judged
        self._answered = answered
        self._findings = findings
        self._digests = digests
        self._repeats = RepeatCheck(findings)
        self._as_of: dict[tuple[int, int], tuple[int, int]] = {}
        self._head = self._take()

    def before(self, offset: int, state: FilterState) -> None:
        """Check the commands that were decided before the filter decided on `offset`."""
        while self._head is not None and self._head[1].as_of_offset < offset:
            record, command = self._head
            self.pools.known = record.offset
            self._check(record, command, state)
            if self.pool.apply(command, record.offset):
                self._digests.add("seed-commands", command_content(command))
                self.pools.add(self.pool)
            self._head = self._take()

    def finish(self, whole: bool) -> None:
        """Check the windows without a command, and of a `whole` log that no command is left."""
        while self._windows.take() is not None:
            pass
        if self._head is not None and whole:
            record, command = self._head
            what = f"reflects offset {command.as_of_offset} of generated, on which there is no verdict"
            self._report("unexpected", record, command, what)

    def _take(self) -> tuple[Record, ReplaceSeeds] | None:
        while (record := self._stream.take()) is not None:
            if not isinstance(record.event, ReplaceSeeds):
                cannot_read(self._findings, record, ReplaceSeeds)
            elif self._is_first(record, record.event):
                return record, record.event
            self.pools.known = record.offset
        return None

    def _is_first(self, record: Record, command: ReplaceSeeds) -> bool:
        """Whether a command is the first for its window, which is the one that counts.

        Two workers, one of which does not know yet that it was replaced, may both answer a window, each as of its own
        filter's and judge's offsets. As of the same offsets both have the same content.
        """
        window, as_of = (command.epoch, command.window), (command.as_of_offset, command.judged_offset)
        if self._as_of.setdefault(window, as_of) != as_of:
            self._findings.repeated(record, record.id)
            return False
        return self._repeats.fresh(record, command, content(record))

    def _check(self, record: Record, command: ReplaceSeeds, state: FilterState) -> None:
        self.count += 1
        window = self._window_of(record, command)
        if window is None:
            return
        judge = self._judged.judge(command.judged_offset)
        if command.judged_offset > judge.offset:
            what = f"reflects offset {command.judged_offset} of judged, whose last is {judge.offset}"
            self._report("unexpected", record, command, what)
        decided = answer(
            self._policy,
            self.pool,
            state.scores,
            state.kept if self._answered is None else self._answered.rows_of(window, state.kept),
            window,
            command.training_offset,
            command.as_of_offset,
            judge,
            command.judged_offset,
        )
        if decided != command:
            kind, difference = _difference(command, decided)
            what = f"for window {command.window} of epoch {command.epoch}, {difference}"
            self._report(kind, record, command, what, decided)

    def _window_of(self, record: Record, command: ReplaceSeeds) -> TrainingLogged | None:
        """The window that a command answers; unanswered ones before it are reported."""
        while (found := self._windows.take(command.training_offset)) is not None:
            at, window = found
            if at.offset == command.training_offset:
                if (window.epoch, window.window) == (command.epoch, command.window):
                    return window
                break
            if self._policy.feedback:
                name = f"Window {window.window} of epoch {window.epoch}, at {at.offset} of training-log,"
                place, what = place_of(at), f"{name} has no command."
                self._findings.diverged("unanswered", place, command.as_of_offset, what, id=at.id)
        what = f"answers window {command.window} of epoch {command.epoch}, which is not at {command.training_offset}"
        self._report("unexpected", record, command, f"{what} of training-log")
        return None

    def _report(
        self, kind: Kind, record: Record, command: ReplaceSeeds, what: str, decided: ReplaceSeeds | None = None
    ) -> None:
        sides = (None, None) if decided is None else differences(command, decided)
        self._findings.diverged(
            kind,
            place_of(record),
            command.as_of_offset,
            f"The command at {record.offset} of seed-commands {what}.",
            id=record.id,
            recorded=sides[0],
            decided=sides[1],
        )


def _difference(recorded: ReplaceSeeds, decided: ReplaceSeeds) -> tuple[Kind, str]:
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
    return "altered", "differs"
