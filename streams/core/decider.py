"""The filter as a decider: `decide(state, offset, generation) -> verdict`, then `apply(state, decision)`.

The worker, a replay and the tests call the same functions, so a decision is a pure function of the log up to its cause:
`generated` in offset order, and the classifiers and releases on `run`. The instructions of a generation are decided in
order, each also compared with those kept before it (paper, Alg. 1).

Each record of `generated` gets exactly one decision and one `InstructionsRejected`. For a record that cannot be read,
and for a duplicate generation, both are empty. A generation that could not be read at first is decided where it is
written again (`streams.core.lanes`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from schemas import ids
from schemas.errors import MalformedEvent
from schemas.events import (
    ClassifierFitted,
    Instruction,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
    RunConfigured,
)
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.cluster_fit import fit, marks_passed, refit_due
from streams.core.clusters import ClusterModel
from streams.core.embeddings import Embedder
from streams.core.lanes import LaneNumbers
from streams.core.scores import SeedScore, uncounted
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.rouge import tokens_fmeasure
from streams.core.similarity.tokenize import Tokenizer, tokenizer
from streams.core.unfit import unfit_of

BEFORE_ALL = -1
_SLACK = 1e-6  # well above the rounding error of an F-measure
Sibling = tuple[str, list[str], set[str]]
"""Id, tokens and distinct tokens of an instruction kept before another of the same generation."""

_SEED = "seed/"  # prefix in the index: a seed may have the id of an instruction, from another run


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


@dataclass
class FilterState:
    """The filter's state: a fold of the log, changed only by `apply`, `use_classifier` and `streams.core.releases`.

    kept       rows by id, in the order they were kept
    released   of the kept rows that candidates are not compared with any more, the offset from which on
    applied    offset of the last record of `generated` in this state
    lanes      decided generation numbers of each lane
    fits       refit marks that the current classifier has passed
    embedder   for a policy with `vectorizer=embeddings`; else None
    """

    policy: Policy
    tokenizer: Tokenizer
    index: RougeLIndex
    kept: dict[str, InstructionKept] = field(default_factory=dict)
    released: dict[str, int] = field(default_factory=dict)
    scores: dict[str, SeedScore] = field(default_factory=dict)
    applied: int = BEFORE_ALL
    lanes: LaneNumbers = field(default_factory=LaneNumbers)
    generated_total: int = 0
    fits: int = 0
    classifier_offset: int = 0
    model: ClusterModel | None = None
    embedder: Embedder | None = None

    @property
    def numbers(self) -> Mapping[str, int]:
        """The last generation number of each lane."""
        return self.lanes.last


def initial_state(configured: RunConfigured, embedder: Embedder | None = None) -> FilterState:
    """The state before the first generation. It needs a classifier (`use_classifier`) before it can decide.

    `embedder`: the one that the policy needs, if any, from `infra.models.embeddings`.
    """
    policy = configured.policy
    split = tokenizer(policy.tokenizer)
    index = RougeLIndex(policy.threshold, tokenizer=split)
    if policy.compare_with_seeds:
        for place, seed in enumerate(configured.seeds):
            index.add(_SEED + seed.id, seed.instruction, (BEFORE_ALL, place))
    return FilterState(policy, split, index, embedder=embedder)


def decide(state: FilterState, offset: int, generation_id: str, event: InstructionsGenerated) -> Verdict:
    """Decide on the generation at `offset` of `generated`, without changing the state.

    Raises MalformedEvent when the generation's id is not the one derived from its lane and number.
    """
    if generation_id != ids.generation_id(event.lane, event.number):
        raise MalformedEvent(
            f"Generation {event.number} of lane {event.lane!r} has the id {generation_id!r}, which is not its own. "
            "Was it written by another program?"
        )
    if not state.lanes.fresh(event.lane, event.number):
        return empty_verdict(state, offset, generation_id)
    if state.model is None:
        raise ValueError("The state has no classifier yet; give it one with use_classifier before deciding.")
    kept: list[InstructionKept] = []
    siblings: list[Sibling] = []
    rejections: list[Rejection] = []
    tokenized = [state.tokenizer(task.instruction) for task in event.instructions]
    rejected = unfit_of(state.policy, generation_id, event, tokenized)
    for place, (task, tokens) in enumerate(zip(event.instructions, tokenized, strict=True)):
        id = ids.instruction_id(generation_id, place)
        rejection = rejected.get(place) or _similar(state, siblings, id, place, task, tokens)
        if rejection is not None:
            rejections.append(rejection)
            continue
        siblings.append((id, tokens, set(tokens)))
        kept.append(
            InstructionKept(
                id=id,
                instruction=task.instruction,
                input=task.input,
                output=task.output,
                generation_id=generation_id,
                generated_offset=offset,
                place=place,
                cluster=state.model.cluster(task.instruction),
                classifier_offset=state.classifier_offset,
            )
        )
    decision = Decision(
        offset=offset,
        generation_id=generation_id,
        lane=event.lane,
        number=event.number,
        seed_ids=event.seed_ids,
        generated=len(event.instructions),
        kept=tuple(kept),
        uncounted=uncounted(state.policy, rejections),
    )
    return Verdict(decision, _rejected(state, decision, rejections))


def empty_verdict(state: FilterState, offset: int, generation_id: str = "") -> Verdict:
    """The verdict on a record with nothing to decide: unreadable, or a generation that was decided before."""
    decision = Decision(offset=offset, generation_id=generation_id)
    return Verdict(decision, _rejected(state, decision, ()))


def apply(state: FilterState, decision: Decision) -> None:
    """Change the state by a decision. One that is not newer than the state changes nothing."""
    if decision.offset <= state.applied:
        return
    for id, text, position in _indexed(decision):
        state.index.add(id, text, position)
    _count(state, decision)


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
        _count(state, decision)
    return state


def index(
    state: FilterState, decisions: Iterable[Decision], progress: Callable[[int], None] | None = None
) -> FilterState:
    """The state (the same object) with the rows of these decisions, already noted, in its index."""
    items = (item for decision in decisions for item in _indexed(decision) if item[0] not in state.released)
    state.index.extend(items, progress=progress)
    return state


def _indexed(decision: Decision) -> Iterator[tuple[str, str, tuple[int, int]]]:
    return ((row.id, row.instruction, (row.generated_offset, row.place)) for row in decision.kept)


def _count(state: FilterState, decision: Decision) -> None:
    for row in decision.kept:
        state.kept[row.id] = row
    counted = decision.generated - decision.uncounted
    for seed_id in decision.seed_ids:
        score = state.scores.get(seed_id, SeedScore())
        state.scores[seed_id] = score.credit(counted, len(decision.kept), decision.offset)
    if decision.number >= 0:
        state.lanes.take(decision.lane, decision.number)
    state.generated_total += decision.generated
    state.applied = decision.offset


def due_classifier(state: FilterState) -> ClassifierFitted | None:
    """A new classifier for the next generation, if a refit is due."""
    if not refit_due(state.policy, len(state.kept), state.fits):
        return None
    texts = [row.instruction for row in state.kept.values()]
    in_cluster = Counter(row.cluster for row in state.kept.values())
    sizes = [in_cluster[cluster] for cluster in range(state.policy.clusters)]
    return ClassifierFitted(
        from_offset=state.applied + 1,
        fitted_on="kept",
        texts=len(texts),
        kept_total=len(texts),
        classifier=fit(texts, state.policy, sizes, state.embedder),
    )


def first_classifier(policy: Policy, seeds: Iterable[SeedTask], embedder: Embedder | None = None) -> ClassifierFitted:
    """The classifier that a run starts with, fitted on its seeds; `embedder` as in `initial_state`."""
    texts = [seed.instruction for seed in seeds]
    return ClassifierFitted(
        from_offset=0,
        fitted_on="seeds",
        texts=len(texts),
        kept_total=0,
        classifier=fit(texts, policy, embedder=embedder),
    )


def use_classifier(state: FilterState, event: ClassifierFitted) -> FilterState:
    """The state with another classifier (the same object)."""
    state.model = ClusterModel(event.classifier, state.embedder)
    state.classifier_offset = event.from_offset
    state.fits = marks_passed(state.policy, event.kept_total)
    return state


def _similar(
    state: FilterState, siblings: list[Sibling], id: str, place: int, task: Instruction, tokens: list[str]
) -> Rejection | None:
    threshold = state.policy.threshold
    found = state.index.nearest_above(task.instruction)
    nearest = None if found is None else (found[0], found[1].removeprefix(_SEED))
    for sibling_id, theirs, distinct in siblings:
        # The common tokens bound the common subsequence, which rules out most pairs.
        common = sum(1 for token in tokens if token in distinct)
        if 2 * common < threshold * (len(tokens) + len(theirs)) - _SLACK:
            continue
        fmeasure = tokens_fmeasure(theirs, tokens)
        if fmeasure > threshold and (nearest is None or fmeasure > nearest[0]):
            nearest = fmeasure, sibling_id
    if nearest is None:
        return None
    return Rejection(
        id=id, place=place, reason="similar", similarity=nearest[0], nearest_id=nearest[1], threshold=threshold
    )


def _rejected(state: FilterState, decision: Decision, rejections: Iterable[Rejection]) -> InstructionsRejected:
    return InstructionsRejected(
        generation_id=decision.generation_id,
        generated_offset=decision.offset,
        rejections=tuple(rejections),
        generated=decision.generated,
        kept=len(decision.kept),
        generated_total=state.generated_total + decision.generated,
        kept_total=len(state.kept) + len(decision.kept),
    )
