"""Everything on a run's log that a story needs, gathered in one reading.

Only what belongs to the story is kept in memory, and for a seed's story two numbers a generation. Repeats are dropped
(`consumers.folds.deduplicate`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from consumers.explain.document_story import DocumentFacts, facts_about
from consumers.explain.history import RunHistory, TopicRecords, read_history
from consumers.explain.locate import Subject
from consumers.explain.nearest import NearestSearch
from consumers.explain.schema.instruction import Outcome
from consumers.explain.schema.place import RecordPlace, place_of
from consumers.folds.deduplicate import Deduplicator, ReadProgress, first_events, no_progress, records
from infra.log.record import Record
from infra.log.source import TOPICS, Source
from schemas import events, ids
from streams.core.ledger import Ledger
from streams.core.scores import uncounted
from streams.core.similarity.tokenize import tokenizer
from streams.core.steering import SteeringHistory, steers

PlacedCall = tuple[RecordPlace, events.CallStarted | events.CallAnswered | events.CallFailed]


@dataclass
class Evidence:
    """What was gathered about a subject.

    focus        ids of the instructions that the story is about
    generation   the subject itself, or the instruction's generation
    kept         rows of that generation, by id
    shown        id and offset of the generations that the seed was shown in
    decided      (generated, kept, uncounted) by offset of `generated`, for a seed's story, or where requests follow it
    kept_shown   texts of the kept instructions that the generation was shown beside its seeds, or asked not to repeat
    steering     what requests followed, where the policy steers them; without the texts of hints
    judged       judgements of the instruction, by judge
    document     that the generation's segment was cut from, and its withdrawal
    answered     answers to kept instructions of the story, by the instruction's id
    answer_calls of the answer to the instruction that is the subject
    """

    subject: Subject
    history: RunHistory
    focus: tuple[str, ...] = ()
    generation: tuple[RecordPlace, events.InstructionsGenerated] | None = None
    shown: list[tuple[str, int]] = field(default_factory=list)
    decided: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[RecordPlace, events.InstructionKept]] = field(default_factory=dict)
    kept_shown: dict[str, str] = field(default_factory=dict)
    steering: SteeringHistory | None = None
    judged: dict[str, tuple[RecordPlace, events.InstructionJudged]] = field(default_factory=dict)
    rejected: dict[str, tuple[RecordPlace, events.Rejection]] = field(default_factory=dict)
    nearest: NearestSearch | None = None
    training: dict[str, list[tuple[RecordPlace, events.TrainingLogged, events.StepLogged, events.BatchRow]]] = field(
        default_factory=dict
    )
    calls: list[PlacedCall] = field(default_factory=list)
    document: DocumentFacts = (None, None)
    answered: dict[str, tuple[RecordPlace, events.InstructionAnswered]] = field(default_factory=dict)
    answer_calls: list[PlacedCall] = field(default_factory=list)


def outcome_of(found: Evidence, id: str) -> tuple[Outcome, RecordPlace | None, events.Rejection | None]:
    """The verdict on an instruction of the generation."""
    if id in found.kept:
        return "kept", found.kept[id][0], None
    if id in found.rejected:
        return "rejected", *found.rejected[id]
    return "undecided", None, None


def gather(source: Source, subject: Subject, progress: ReadProgress = no_progress) -> Evidence:
    """Read the run for the subject's story. Raises RunError when the run was never configured."""
    with source.open(TOPICS) as reading:
        read = partial(records, reading, progress=progress)
        deduplicator = Deduplicator()
        found = Evidence(subject, read_history(source, read))
        policy = found.history.configured.policy
        found.steering = SteeringHistory(policy) if steers(policy) else None
        _rejected(found, read, deduplicator)  # before `generated`, so that what the filter could not read is known
        last = _generated(found, read, deduplicator)
        if found.generation is not None:
            # in a partition rows ascend, and readers drop one that does not: nothing of the story is after it
            past = partial(records, reading, progress=progress, is_past=partial(_is_kept_after, last))
            _kept(found, past, deduplicator)
            _trained(found, read, deduplicator)
            _judged(found, read, deduplicator)
            _answered(found, read, deduplicator)
            if (segment := found.generation[1].segment) is not None:
                found.document = facts_about([segment.document_id], read)[segment.document_id]
        if subject.generation_id is not None:
            answer_id = ids.answered_id(subject.id) if subject.id in found.kept else None
            calls = _calls_of(filter(None, (subject.generation_id, answer_id)), read)
            found.calls, found.answer_calls = calls[subject.generation_id], calls.get(answer_id or "", [])
    return found


def _rejected(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> None:
    for record in read("rejected"):
        event = record.event
        if not isinstance(event, events.InstructionsRejected) or not deduplicator.rejected(event):
            continue
        if "seed" in found.subject.kinds or found.steering is not None:
            not_counted = uncounted(found.history.configured.policy, event.rejections)
            found.decided[event.generated_offset] = event.generated, event.kept, not_counted
        if event.generation_id == found.subject.generation_id:
            found.rejected |= {rejection.id: (place_of(record), rejection) for rejection in event.rejections}


def _generated(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> int:
    """Returns the last offset at which the subject's generation is, -1 for none."""
    subject, last = found.subject, -1
    every = "seed" in subject.kinds or found.steering is not None  # else the others need not be decoded
    own = "ce_id", (subject.generation_id or "").encode()
    for record in read("generated"):
        if own in record.headers:
            last = record.offset
        elif not every:
            continue
        event = record.event
        if not isinstance(event, events.InstructionsGenerated) or not deduplicator.generated(event, record.offset):
            continue
        _steered(found, record, event)
        if "seed" in subject.kinds and subject.id in event.seed_ids:
            found.shown.append((record.id, record.offset))
        if record.id == subject.generation_id:
            found.generation = place_of(record), event
            _focus(found, record, event)
    return last


def _is_kept_after(offset: int, record: Record) -> bool:
    """Whether a record of `kept` is a row of a generation after an offset of `generated`."""
    return isinstance(record.event, events.InstructionKept) and record.event.generated_offset > offset


def _steered(found: Evidence, record: Record, event: events.InstructionsGenerated) -> None:
    """Take the decision on a generation into what requests follow; the first of its number, as the filter does."""
    if found.steering is None or record.offset not in found.decided:
        return
    generated, kept, not_counted = found.decided[record.offset]
    found.steering.decide(
        record.offset, event.lane, event.number, event.seed_ids, generated=generated, uncounted=not_counted, kept=kept
    )


def _focus(found: Evidence, record: Record, event: events.InstructionsGenerated) -> None:
    subject, configured = found.subject, found.history.configured
    all_ids = tuple(ids.instruction_id(record.id, place) for place in range(len(event.instructions)))
    if subject.place is None:
        found.focus = all_ids
        return
    found.focus = (all_ids[subject.place],)
    text = event.instructions[subject.place].instruction
    found.nearest = NearestSearch(text, (record.offset, subject.place), tokenizer(configured.policy.tokenizer))
    if configured.policy.compare_with_seeds:
        for place, seed in enumerate(configured.seeds):
            found.nearest.seed(seed, place)


def _kept(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> None:
    shown = () if found.generation is None else found.generation[1].kept_shown
    steering = None if found.generation is None else found.generation[1].steering
    wanted = set(shown.ids if shown else ()) | set(steering.hint_ids if steering else ())
    for record in read("kept"):
        row = record.event
        if not isinstance(row, events.InstructionKept):
            continue
        if not deduplicator.kept(row.generated_offset, row.place, record.partition):
            continue
        if row.generation_id == found.subject.generation_id:
            found.kept[row.id] = place_of(record), row
        if row.id in wanted:
            found.kept_shown[row.id] = row.instruction
        if found.nearest is not None:
            found.nearest.row(row, record, found.history.releases.get(row.id, (None, None))[1])


def _judged(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> None:
    wanted = found.subject.id.encode()
    of_subject = (record for record in read("judged") if record.key == wanted)
    for record, event in first_events(of_subject, events.InstructionJudged, deduplicator):
        found.judged[event.judge.name] = place_of(record), event


def _answered(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> None:
    wanted = {id.encode() for id in found.focus}
    of_focus = (record for record in read("answered") if record.key in wanted)
    for record, event in first_events(of_focus, events.InstructionAnswered, deduplicator):
        found.answered[event.row.id] = place_of(record), event


def _trained(found: Evidence, read: TopicRecords, deduplicator: Deduplicator) -> None:
    for record, event in first_events(read("training-log"), events.TrainingLogged, deduplicator):
        for step in event.steps:
            for row in step.rows:
                if row.id in found.focus:
                    found.training.setdefault(row.id, []).append((place_of(record), event, step, row))


def calls_of(cause: str, read: TopicRecords) -> list[PlacedCall]:
    """The calls for a generation, an answer or a judgement, from `calls`."""
    return _calls_of((cause,), read)[cause]


def _calls_of(causes: Iterable[str], read: TopicRecords) -> dict[str, list[PlacedCall]]:
    """The calls by what they are for, from `calls`, which is read once."""
    calls: dict[str, list[PlacedCall]] = {cause: [] for cause in causes}
    wanted = [cause.encode() for cause in calls]
    requests: dict[str, str] = {}
    ledger = Ledger()
    for record in read("calls"):
        value, key = record.value or b"", (record.key or b"").decode(errors="replace")
        if key not in requests and not any(cause in value for cause in wanted):
            continue
        event = record.event
        if isinstance(event, events.CallStarted) and event.generation_id in calls:
            requests[event.request_id] = event.generation_id
        if (
            not isinstance(event, events.CallStarted | events.CallAnswered | events.CallFailed)
            or event.request_id not in requests
        ):
            continue
        if ledger.apply(event, record.id):
            calls[requests[event.request_id]].append((place_of(record), event))
    return calls
