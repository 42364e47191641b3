"""The filter as a decider: `judge` a generation, then `classify` what was kept of many of them at once.

    judged = [judge(state, offset, id, event) for ...]     compared with all rows kept before, in offset order
    verdicts = classify(state, judged)                     the clusters of their kept rows, in one call

The worker, a replay and the tests call the same functions, so a decision is a pure function of the log up to its cause:
`generated` in offset order, and the classifiers and releases on `run`. The instructions of a generation are decided in
order, each also compared with those kept before it (paper, Alg. 1). Between a `judge` and its `classify` no classifier
and no release may come into force. `decide`, then `apply`, is the same for one record, and `decide` changes nothing.

Each record of `generated` gets exactly one decision and one `InstructionsRejected`. For a record that cannot be read,
and for a duplicate generation, both are empty. A generation that could not be read at first is decided where it is
written again (`streams.core.lanes`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from schemas import ids
from schemas.errors import MalformedEvent, SediError
from schemas.events import Instruction, InstructionKept, InstructionsGenerated, InstructionsRejected, Rejection
from streams.core.filter_state import BEFORE_ALL, SEED, FilterState, initial_state
from streams.core.refits import due_classifier, first_classifier, use_classifier
from streams.core.scores import SeedScore, uncounted
from streams.core.similarity.index import Position
from streams.core.unfit import unfit_of

__all__ = [
    "BEFORE_ALL",
    "Decision",
    "FilterState",
    "Judged",
    "Verdict",
    "apply",
    "classify",
    "decide",
    "due_classifier",
    "empty_verdict",
    "first_classifier",
    "index",
    "initial_state",
    "judge",
    "judge_empty",
    "note",
    "restore",
    "use_classifier",
]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on one record of `generated`; the kept table's value for that offset.

    uncounted   how many generated instructions do not count in the seeds' scores (`streams.core.scores`)
    """

    offset: int
    generation_id: str = ""
    lane: str = ""
    number: int = -1
    seed_ids: tuple[str, ...] = ()
    generated: int = 0
    kept: tuple[InstructionKept, ...] = ()
    uncounted: int = 0


@dataclass(frozen=True)
class Verdict:
    """A decision with the event that records it."""

    decision: Decision
    rejected: InstructionsRejected


@dataclass(frozen=True)
class Passed:
    """An instruction that is kept, before it has its cluster."""

    id: str
    place: int
    task: Instruction


@dataclass(frozen=True)
class Judged:
    """A decision whose kept rows have no cluster yet: they are in `passed`, and `decision.kept` is empty.

    generated_total, kept_total   of the run, after it
    """

    decision: Decision
    passed: tuple[Passed, ...]
    rejections: tuple[Rejection, ...]
    generated_total: int
    kept_total: int


def judge(state: FilterState, offset: int, generation_id: str, event: InstructionsGenerated) -> Judged:
    """Decide which instructions of the generation at `offset` of `generated` are kept, and change the state by that.

    The rows are in `state.kept` once they have been classified; all else is as after `apply`. Raises MalformedEvent
    when the generation's id is not the one derived from its lane and number. An exception leaves the state as it was.
    """
    judged = _compare(state, offset, generation_id, event)
    _count(state, judged.decision, len(judged.passed))
    return judged


def judge_empty(state: FilterState, offset: int, generation_id: str = "") -> Judged:
    """`judge` of a record with nothing to decide: unreadable, or a generation that was decided before."""
    judged = _judged(state, Decision(offset=offset, generation_id=generation_id))
    _count(state, judged.decision, 0)
    return judged


def classify(state: FilterState, block: Sequence[Judged]) -> list[Verdict]:
    """The verdicts on generations that were judged, in the same order; completes the state with their kept rows."""
    verdicts = _classified(state, block)
    for verdict in verdicts:
        for row in verdict.decision.kept:
            state.kept[row.id] = row
    return verdicts


def decide(state: FilterState, offset: int, generation_id: str, event: InstructionsGenerated) -> Verdict:
    """Decide on the generation at `offset` of `generated`, without changing the state; raises as `judge`.

    Its kept rows are in the index until `apply`, which nearly always leaves them there, or the next decision.
    """
    judged = _compare(state, offset, generation_id, event)
    state.entered = tuple(row.id for row in judged.passed)
    return _classified(state, [judged])[0]


def empty_verdict(state: FilterState, offset: int, generation_id: str = "") -> Verdict:
    """The verdict on a record with nothing to decide: unreadable, or a generation that was decided before."""
    return _classified(state, [_judged(state, Decision(offset=offset, generation_id=generation_id))])[0]


def apply(state: FilterState, decision: Decision) -> None:
    """Change the state by a decision. One that is not newer than the state changes nothing."""
    if decision.offset <= state.applied:
        return
    if state.entered != tuple(row.id for row in decision.kept):
        _take_back(state)
        for id, text, position in _indexed(decision):
            state.index.add(id, text, position)
    state.entered = ()
    note(state, decision)


def restore(
    state: FilterState, decisions: Iterable[Decision], progress: Callable[[int], None] | None = None
) -> FilterState:
    """The state after many decisions in order (the same object), as `apply` makes it but faster.

    `progress` is called now and then with the number of indexed rows.
    """
    newer = [decision for decision in decisions if decision.offset > state.applied]
    for decision in newer:
        note(state, decision)
    return index(state, newer, progress)


def note(state: FilterState, decision: Decision) -> FilterState:
    """The state after a decision (the same object) except its index, which `index` must update before deciding."""
    if decision.offset > state.applied:
        for row in decision.kept:
            state.kept[row.id] = row
        _count(state, decision, len(decision.kept))
    return state


def index(
    state: FilterState, decisions: Iterable[Decision], progress: Callable[[int], None] | None = None
) -> FilterState:
    """The state (the same object) with the rows of these decisions, already noted, in its index."""
    _take_back(state)
    items = (item for decision in decisions for item in _indexed(decision) if item[0] not in state.released)
    state.index.extend(items, progress=progress)
    return state


def _indexed(decision: Decision) -> Iterator[tuple[str, str, tuple[int, int]]]:
    return ((row.id, row.instruction, (row.generated_offset, row.place)) for row in decision.kept)


def _compare(state: FilterState, offset: int, generation_id: str, event: InstructionsGenerated) -> Judged:
    if generation_id != ids.generation_id(event.lane, event.number):
        raise MalformedEvent(
            f"Generation {event.number} of lane {event.lane!r} has the id {generation_id!r}, which is not its own. "
            "Was it written by another program?"
        )
    if not state.lanes.fresh(event.lane, event.number):
        return _judged(state, Decision(offset=offset, generation_id=generation_id))
    if state.model is None:
        raise ValueError("The state has no classifier yet; give it one with use_classifier before deciding.")
    _take_back(state)
    tasks = event.instructions
    tokenized = [state.tokenizer(task.instruction) for task in tasks]
    rejected = unfit_of(state.policy, generation_id, event, tokenized)
    fit = [(place, ids.instruction_id(generation_id, place)) for place in range(len(tasks)) if place not in rejected]
    found = _entered(state, [(id, tasks[place].instruction, (offset, place)) for place, id in fit])
    passed: list[Passed] = []
    for (place, id), nearest in zip(fit, found, strict=True):
        if nearest is None:
            passed.append(Passed(id, place, tasks[place]))
        else:
            rejected[place] = _similar(state, id, place, nearest)
    rejections = [rejected[place] for place in sorted(rejected)]
    decision = Decision(
        offset=offset,
        generation_id=generation_id,
        lane=event.lane,
        number=event.number,
        seed_ids=event.seed_ids,
        generated=len(event.instructions),
        uncounted=uncounted(state.policy, rejections),
    )
    return _judged(state, decision, passed, rejections)


def _judged(
    state: FilterState, decision: Decision, passed: Sequence[Passed] = (), rejections: Sequence[Rejection] = ()
) -> Judged:
    return Judged(
        decision,
        tuple(passed),
        tuple(rejections),
        state.generated_total + decision.generated,
        state.kept_total + len(passed),
    )


def _count(state: FilterState, decision: Decision, kept: int) -> None:
    counted = decision.generated - decision.uncounted
    for seed_id in decision.seed_ids:
        score = state.scores.get(seed_id, SeedScore())
        state.scores[seed_id] = score.credit(counted, kept, decision.offset)
    if decision.number >= 0:
        state.lanes.take(decision.lane, decision.number)
    state.generated_total += decision.generated
    state.kept_total += kept
    state.applied = decision.offset


def _similar(state: FilterState, id: str, place: int, nearest: tuple[float, str]) -> Rejection:
    return Rejection(
        id=id,
        place=place,
        reason="similar",
        similarity=nearest[0],
        nearest_id=nearest[1].removeprefix(SEED),
        threshold=state.policy.threshold,
    )


def _entered(state: FilterState, items: list[tuple[str, str, Position]]) -> list[tuple[float, str] | None]:
    """The nearest of each among all before it, those of its generation included; one without any is in the index now.

    One that the index holds already, as it may in an audit of a log with an error, is only compared.
    """
    index = state.index
    try:
        return index.add_unless_similar(items)
    except SediError:  # it holds one of them, and has added none
        return [
            index.nearest_above(item[1]) if item[0] in index else index.add_unless_similar([item])[0] for item in items
        ]


def _take_back(state: FilterState) -> None:
    """Take the rows of a decision that was not applied out of the index."""
    for id in state.entered:
        state.index.remove(id)
    state.entered = ()


def _classified(state: FilterState, block: Sequence[Judged]) -> list[Verdict]:
    texts = [row.task.instruction for judged in block for row in judged.passed]
    clusters = iter(state.model.clusters(texts) if state.model is not None and texts else ())
    return [_verdict(judged, clusters, state.classifier_offset) for judged in block]


def _verdict(judged: Judged, clusters: Iterator[int], classifier_offset: int) -> Verdict:
    decision = judged.decision
    kept = tuple(
        InstructionKept(
            id=row.id,
            instruction=row.task.instruction,
            input=row.task.input,
            output=row.task.output,
            generation_id=decision.generation_id,
            generated_offset=decision.offset,
            place=row.place,
            cluster=next(clusters),
            classifier_offset=classifier_offset,
        )
        for row in judged.passed
    )
    rejected = InstructionsRejected(
        generation_id=decision.generation_id,
        generated_offset=decision.offset,
        rejections=judged.rejections,
        generated=decision.generated,
        kept=len(kept),
        generated_total=judged.generated_total,
        kept_total=judged.kept_total,
    )
    return Verdict(msgspec.structs.replace(decision, kept=kept) if kept else decision, rejected)
