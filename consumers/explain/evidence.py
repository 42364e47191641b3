"""Everything on a run's log that a story is told from, gathered in one reading.

What is kept in memory belongs to the story, and of a seed's story two numbers a generation; the rest is looked at and
let go. Events that stand twice count once (`consumers.folds.deduplicate`).
"""

from dataclasses import dataclass, field

from consumers.explain.locate import Subject
from consumers.explain.nearest import NearestSearch, at
from consumers.explain.schema import RecordPlace
from consumers.folds.deduplicate import Deduplicator, ReadProgress, no_progress, records
from infra.log.record import Record
from infra.log.source import TOPICS, Reading, Source
from schemas import ids
from schemas.errors import RunError
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallFailed,
    CallStarted,
    ClassifierFitted,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
    ReplaceSeeds,
    RunConfigured,
    StepLogged,
    TrainingLogged,
)
from streams.core.scores import uncounted
from streams.core.seeds import SeedPool
from streams.core.similarity.tokenize import tokenizer


@dataclass
class Evidence:
    """What was gathered about a subject.

    commands      those that took effect, in order; `pool` is what they leave
    focus         ids of the instructions that the story is about
    generation    the one asked about, or that the instruction comes from
    shown         id and offset of the generations that the seed was shown in
    kept_shown    texts of the instructions that the generation was shown beside its seeds
    judged        what was made of the instruction that was asked about, by judge
    told          what was generated, kept and does not count in scores, by offset of `generated`, when the story is a
                  seed's
    """

    subject: Subject
    configured: RunConfigured
    pool: SeedPool
    classifiers: dict[int, tuple[RecordPlace, ClassifierFitted]] = field(default_factory=dict)
    commands: list[tuple[RecordPlace, ReplaceSeeds]] = field(default_factory=list)
    focus: tuple[str, ...] = ()
    generation: tuple[RecordPlace, InstructionsGenerated] | None = None
    shown: list[tuple[str, int]] = field(default_factory=list)
    told: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[RecordPlace, InstructionKept]] = field(default_factory=dict)
    kept_shown: dict[str, str] = field(default_factory=dict)
    judged: dict[str, tuple[RecordPlace, InstructionJudged]] = field(default_factory=dict)
    rejected: dict[str, tuple[RecordPlace, Rejection]] = field(default_factory=dict)
    nearest: NearestSearch | None = None
    training: dict[str, list[tuple[RecordPlace, TrainingLogged, StepLogged, BatchRow]]] = field(default_factory=dict)
    calls: list[tuple[RecordPlace, CallStarted | CallAnswered | CallFailed]] = field(default_factory=list)

    def pool_at(self, offset: int) -> SeedPool:
        """The pool after the command at `offset` of `seed-commands`."""
        pool = SeedPool.of(self.configured.seeds)
        for where, command in self.commands:
            if where.offset <= offset:
                pool.apply(command, where.offset)
        return pool


def gather(source: Source, subject: Subject, progress: ReadProgress = no_progress) -> Evidence:
    """Read the run for the subject's story. Raises RunError when the run was never configured."""
    with source.open(TOPICS) as reading:
        found = _begun(source, reading, subject, progress)
        for record in records(reading, "seed-commands", progress):
            if isinstance(record.event, ReplaceSeeds) and found.pool.apply(record.event, record.offset):
                found.commands.append((at(record), record.event))
        once = Deduplicator()
        _rejected(found, reading, once, progress)  # before what it was decided on: it tells what counts there
        _generated(found, reading, once, progress)
        if found.generation is not None:
            _kept(found, reading, once, progress)
            _trained(found, reading, once, progress)
            _judged(found, reading, progress)
        if subject.generation_id is not None:
            _calls(found, reading, progress)
    return found


def _begun(source: Source, reading: Reading, subject: Subject, progress: ReadProgress) -> Evidence:
    found: Evidence | None = None
    classifiers: dict[int, tuple[RecordPlace, ClassifierFitted]] = {}
    for record in records(reading, "run", progress):
        match record.event:
            case RunConfigured() as event if found is None:
                found = Evidence(subject, event, SeedPool.of(event.seeds), classifiers)
            case ClassifierFitted() as event:
                classifiers.setdefault(event.from_offset, (at(record), event))
            case _:
                pass
    if found is None:
        raise RunError(
            f"The log of {source.name} has no RunConfigured. Start the run with `sedi run --run {source.run}`."
        )
    return found


def _rejected(found: Evidence, reading: Reading, once: Deduplicator, progress: ReadProgress) -> None:
    for record in records(reading, "rejected", progress):
        event = record.event
        if not isinstance(event, InstructionsRejected) or not once.rejected(event):
            continue
        if "seed" in found.subject.kinds:
            not_counted = uncounted(found.configured.policy, event.rejections)
            found.told[event.generated_offset] = event.generated, event.kept, not_counted
        if event.generation_id == found.subject.generation_id:
            found.rejected |= {rejection.id: (at(record), rejection) for rejection in event.rejections}


def _generated(found: Evidence, reading: Reading, once: Deduplicator, progress: ReadProgress) -> None:
    subject = found.subject
    for record in records(reading, "generated", progress):
        event = record.event
        if not isinstance(event, InstructionsGenerated) or not once.generated(event, record.offset):
            continue
        if "seed" in subject.kinds and subject.id in event.seed_ids:
            found.shown.append((record.id, record.offset))
        if record.id == subject.generation_id:
            found.generation = at(record), event
            _focus(found, record, event)


def _focus(found: Evidence, record: Record, event: InstructionsGenerated) -> None:
    subject = found.subject
    all_ids = tuple(ids.instruction_id(record.id, place) for place in range(len(event.instructions)))
    if subject.place is None:
        found.focus = all_ids
        return
    found.focus = (all_ids[subject.place],)
    policy = found.configured.policy
    text = event.instructions[subject.place].instruction
    found.nearest = NearestSearch(text, (record.offset, subject.place), tokenizer(policy.tokenizer))
    if policy.compare_with_seeds:
        for place, seed in enumerate(found.configured.seeds):
            found.nearest.seed(seed, place)


def _kept(found: Evidence, reading: Reading, once: Deduplicator, progress: ReadProgress) -> None:
    shown = () if found.generation is None else found.generation[1].kept_shown
    wanted = set(shown.ids if shown else ())
    for record in records(reading, "kept", progress):
        row = record.event
        if not isinstance(row, InstructionKept) or not once.kept(row, record.partition):
            continue
        if row.id in found.focus:
            found.kept[row.id] = at(record), row
        if row.id in wanted:
            found.kept_shown[row.id] = row.instruction
        if found.nearest is not None:
            found.nearest.row(row, record)


def _judged(found: Evidence, reading: Reading, progress: ReadProgress) -> None:
    wanted = found.subject.id.encode()
    for record in records(reading, "judged", progress):
        if record.key == wanted and isinstance(record.event, InstructionJudged):
            found.judged.setdefault(record.event.judge.name, (at(record), record.event))


def _trained(found: Evidence, reading: Reading, once: Deduplicator, progress: ReadProgress) -> None:
    for record in records(reading, "training-log", progress):
        event = record.event
        if not isinstance(event, TrainingLogged) or not once.trained(event):
            continue
        for step in event.steps:
            for row in step.rows:
                if row.id in found.focus:
                    found.training.setdefault(row.id, []).append((at(record), event, step, row))


def _calls(found: Evidence, reading: Reading, progress: ReadProgress) -> None:
    """The generation's calls, each event once by its id."""
    wanted = (found.subject.generation_id or "").encode()
    requests: set[str] = set()
    seen: set[str] = set()
    for record in records(reading, "calls", progress):
        if wanted not in (record.value or b"") and (record.key or b"").decode(errors="replace") not in requests:
            continue
        event = record.event
        if isinstance(event, CallStarted):
            requests.add(event.request_id)
        if isinstance(event, CallStarted | CallAnswered | CallFailed) and record.id not in seen:
            seen.add(record.id)
            if event.request_id in requests:
                found.calls.append((at(record), event))
