"""The filter's state: a fold of `generated`, with the classifiers and releases on `run`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.events import InstructionKept, RunConfigured
from schemas.policy import Policy
from streams.core.clusters import ClusterModel
from streams.core.embeddings import Embedder
from streams.core.lanes import LaneNumbers
from streams.core.scores import SeedScore
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.tokenize import Tokenizer, tokenizer

BEFORE_ALL = -1
SEED = "seed/"
"""Prefix in the index: a seed may have the id of an instruction, from another run."""


@dataclass(frozen=True)
class DueFit:
    """A classifier to be fitted on the first `rows` kept rows, and in force from an offset of `generated` on."""

    rows: int
    from_offset: int


@dataclass
class FilterState:
    """Changed only by `streams.core.decider`, `streams.core.refits` and `streams.core.releases`.

    kept         rows by id, in the order they were kept
    kept_total   their number, those that `classify` has yet to complete included
    entered      rows of a decision that is not applied yet, which the index holds already
    released     of the kept rows that candidates are not compared with any more, the offset from which on
    applied      offset of the last record of `generated` in this state
    lanes        decided generation numbers of each lane
    fits         refit marks that the current classifier has passed
    next_fit     kept rows at which the next classifier is due; None: never
    due_fit      the classifier that is due, once that was looked up
    embedder     for a policy with `vectorizer=embeddings`; else None
    """

    policy: Policy
    tokenizer: Tokenizer
    index: RougeLIndex
    kept: dict[str, InstructionKept] = field(default_factory=dict)
    kept_total: int = 0
    entered: tuple[str, ...] = ()
    released: dict[str, int] = field(default_factory=dict)
    scores: dict[str, SeedScore] = field(default_factory=dict)
    applied: int = BEFORE_ALL
    lanes: LaneNumbers = field(default_factory=LaneNumbers)
    generated_total: int = 0
    fits: int = 0
    classifier_offset: int = 0
    next_fit: int | None = None
    due_fit: DueFit | None = None
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
            index.add(SEED + seed.id, seed.instruction, (BEFORE_ALL, place))
    return FilterState(policy, split, index, embedder=embedder)
