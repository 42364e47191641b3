"""Every event type that the log holds, in its current version.

Events are facts in the past tense. A field that is None says "not known", never zero. No event holds a secret,
and only CloudEvents headers hold the time of writing, so that equal decisions are equal bytes.

Limits that a type states (a count is not negative, a number is finite) are checked when an event is written and when
it is read (`schemas.envelope`), not when it is made.
"""

from typing import Annotated, Literal

import msgspec

from schemas.policy import Metric, Policy
from schemas.seeds import SeedTask

_MOST = 2**63 - 1  # what Kafka's offsets and the tables that events are read into can hold

Offset = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
LastOffset = Annotated[int, msgspec.Meta(ge=-1, le=_MOST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Place = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Amount = Annotated[float, msgspec.Meta(ge=0.0)]
Similarity = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events and commands."""


# -- run -----------------------------------------------------------------------------------------------------------


class RunConfigured(Event, frozen=True, kw_only=True):
    """The first event of a run: what it decides by, and the seeds it starts with."""

    run: str
    policy: Policy
    seeds: tuple[SeedTask, ...]
    versions: dict[str, str]


class Classifier(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted classifier, as numbers; `streams.core.clusters` says how it maps a text to a cluster.

    vocabulary     n-gram of each column; of `embeddings` none, their dimensions are the columns
    idf            weight of each column, [columns]; of `embeddings` none
    components     axes of the PCA over the columns, [axes][columns]
    means          what is subtracted on each axis, [axes]
    cuts           where each node of the tree is cut, level by level: [1], [2], [4], ... values
    vectorizer     what the columns are: `tfidf` of character n-grams, or sentence `embeddings`
    model_sha256   of the weights of the model that makes the embeddings; None: `tfidf`
    """

    ngrams: tuple[int, int]
    vocabulary: tuple[str, ...]
    idf: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    means: tuple[float, ...]
    cuts: tuple[tuple[float, ...], ...]
    vectorizer: Literal["tfidf", "embeddings"] = "tfidf"
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        columns, axes = len(self.vocabulary), len(self.components)
        if (self.vectorizer == "embeddings") != (self.model_sha256 is not None):
            raise ValueError("a classifier of embeddings, and no other, needs the SHA-256 of their model")
        if self.vectorizer == "embeddings":
            if self.vocabulary or self.idf or len(set(map(len, self.components))) > 1:
                raise ValueError("a classifier of embeddings needs components of one length and has no n-grams")
        elif {len(self.idf), *map(len, self.components)} - {columns}:
            raise ValueError(f"a classifier of {columns} columns needs an idf and a component on each axis for each")
        if len(self.means) != axes or [len(level) for level in self.cuts] != [2**axis for axis in range(axes)]:
            raise ValueError(f"a classifier of {axes} axes needs {axes} means, and cuts for 1, 2, 4, ... nodes")


class ClassifierFitted(Event, frozen=True, kw_only=True):
    """A classifier is in force for generations from `from_offset` of `generated` on."""

    from_offset: Offset
    fitted_on: Literal["seeds", "kept"]
    texts: Count
    kept_total: Count
    classifier: Classifier


class RunStarted(Event, frozen=True, kw_only=True):
    """The run goes on from here: generators, filter and trainer are being started, with these program versions."""

    versions: dict[str, str]


class RunStopped(Event, frozen=True, kw_only=True):
    """The run was ended on purpose; it may be continued later, after which events follow this one."""

    reason: str


class GenerationHalted(Event, frozen=True, kw_only=True):
    """A generator stopped because going on would only spend; another start, with another `floor`, goes on.

    rule                          what it is that the last decided generations broke
    value                         what was measured of them; None: no row was kept, so there is no such number
    floor                         what it was held against: the least yield, the most tokens a kept row
    generated_total, kept_total   of the run, up to the last generation that was looked at
    """

    lane: str
    reason: str
    rule: Literal["min_yield", "max_tokens_per_kept"]
    value: Amount | None
    floor: Amount
    generated_total: Count
    kept_total: Count


# -- calls ---------------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the endpoint says it counted."""

    prompt_tokens: Count
    completion_tokens: Count


class KeptShown(msgspec.Struct, frozen=True, kw_only=True):
    """Kept instructions that a generation is shown beside its seeds, as in Self-Instruct.

    as_of   the last record of `generated` whose verdict the generator had seen: they are drawn from what was kept by
            then; -1 for none
    ids     of the instructions, in the order drawn
    """

    as_of: LastOffset
    ids: tuple[str, ...]


class CallStarted(Event, frozen=True, kw_only=True):
    """An LLM call is about to be made. Without an outcome after it, its answer may have been paid for and lost.

    kept_shown   what its generation is shown beside its seeds; None in styles that show seeds only
    """

    request_id: str
    attempt: Count
    generation_id: str
    lane: str
    number: Count
    step: Count
    backend: str
    model: str
    kept_shown: KeptShown | None = None


class CallAnswered(Event, frozen=True, kw_only=True):
    """An LLM answered: stored before anything else is done with it.

    raw         the answer's text as it came
    reasoning   the model's reasoning, where the endpoint gives it apart from the answer; None: it gave none
    """

    request_id: str
    attempt: Count
    model: str
    raw: str
    finish_reason: str | None
    usage: Usage | None
    cost_usd: Amount | None
    latency_s: Amount
    reasoning: str | None = None


class CallFailed(Event, frozen=True, kw_only=True):
    """An attempt at an LLM call ended without an answer that can be used.

    usage          what the endpoint counted for it all the same; None: it says nothing
    cost_usd       of that usage; None: not known
    perhaps_paid   it says nothing, and may have been paid for none the less: it took too long, was cut off, or came in
                   a form that nothing can be read from
    """

    request_id: str
    attempt: Count
    error: str
    status: int | None
    retry: bool
    usage: Usage | None = None
    cost_usd: Amount | None = None
    perhaps_paid: bool = False


# -- generated -----------------------------------------------------------------------------------------------------


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One task as the LLM wrote it."""

    instruction: str
    input: str = ""
    output: str = ""


class Unparsed(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer that no instruction could be read from."""

    reason: str
    text: str


class InstructionsGenerated(Event, frozen=True, kw_only=True):
    """One generation: what was asked with which seeds, every answer raw, and what was read from it.

    seed_commands_offset   the last record of `seed-commands` the generator had seen, -1 for none: the pool it sampled
    answers                the calls it took, in the order asked; one in the `alpaca` style
    kept_shown             what was shown beside the seeds; None in styles that show seeds only
    reading                version of the reading that the instructions come from (`streams.core.parse.answers`)
    cut                    places of the instructions whose output ended before the LLM had ended it
    """

    lane: str
    number: Count
    style: str
    parser: Literal["strict", "faithful"]
    backend: str
    model: str
    parameters: dict[str, str | int | float | bool | None]
    seed_ids: tuple[str, ...]
    seed_commands_offset: LastOffset
    answers: tuple[CallAnswered, ...]
    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cost_usd: Amount | None
    kept_shown: KeptShown | None = None
    reading: Ordinal = 1
    cut: tuple[Place, ...] = ()


# -- kept, rejected ------------------------------------------------------------------------------------------------


class InstructionKept(Event, frozen=True, kw_only=True):
    """An instruction joined the data set, in the partition that is its cluster.

    generated_offset, place   where on `generated` it was written: its position in the run's total order
    classifier_offset         `from_offset` of the classifier that chose the cluster
    """

    id: str
    instruction: str
    input: str
    output: str
    generation_id: str
    generated_offset: Offset
    place: Place
    cluster: Count
    classifier_offset: Offset


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why one instruction was not kept; similarity fields are set when `reason` is `similar`."""

    id: str
    place: Place
    reason: str
    similarity: Similarity | None = None
    nearest_id: str | None = None
    threshold: Similarity | None = None


class InstructionsRejected(Event, frozen=True, kw_only=True):
    """The filter is done with a generation: the verdict on each instruction that was not kept, maybe none.

    generated, kept               of this generation
    generated_total, kept_total   of the run up to and with this generation
    """

    generation_id: str
    generated_offset: Offset
    rejections: tuple[Rejection, ...]
    generated: Count
    kept: Count
    generated_total: Count
    kept_total: Count


# -- judged --------------------------------------------------------------------------------------------------------


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """Who judges: a model, asked by a version of a rubric. `backend` says how it was reached."""

    backend: str
    model: str
    rubric: str
    version: Ordinal

    @property
    def name(self) -> str:
        """What makes a judge one of its own; another backend with the same model is the same judge."""
        return f"{self.rubric}/{self.version}/{self.model}"


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The scores there are: from the least to the most, a step apart."""

    least: float
    most: float
    step: Annotated[float, msgspec.Meta(gt=0.0)]


class InstructionJudged(Event, frozen=True, kw_only=True):
    """An LLM scored a kept row. It changes nothing that the filter decided.

    kept_id, generated_offset, place, cluster   of the row
    score     None when it could not be read from an answer, or the request was refused
    reason    of the score as the judge gave it; without one, why there is none
    answers   every answer, in the order asked; the last one was read, or none could be
    reading   version of the reading that the score comes from (`streams.core.parse.answers`)
    """

    kept_id: str
    generated_offset: Offset
    place: Place
    cluster: Count
    judge: Judge
    scale: Scale
    score: float | None
    reason: str
    answers: tuple[CallAnswered, ...]
    cost_usd: Amount | None
    reading: Ordinal = 1


# -- training-log, seed-commands -----------------------------------------------------------------------------------


class BatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a batch: it fills the place `slot`, which belongs to cluster `slot` modulo the run's clusters, and comes
    from `cluster`; they differ when it is borrowed."""

    id: str
    slot: Count
    cluster: Count
    generated_offset: Offset

    def is_borrowed(self, clusters: int) -> bool:
        """Whether it stands in another cluster's place, in a run with so many clusters."""
        return self.slot % clusters != self.cluster


class StepLogged(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer step. A number that is not finite is None.

    loss            mean over the response tokens of the batch
    loss_variance   population variance of the rows' mean losses
    grad_norm       L2 norm of the whole gradient, before clipping
    tokens          response tokens that took part in the loss
    all_tokens      tokens that the model was shown, prompts and responses, without padding
    padding         share of padding in what the model was fed
    memory_bytes    the most that the device, or on the CPU the process, has used so far; of all processes the largest
    """

    step: Ordinal
    loss: float | None
    loss_variance: Amount | None
    grad_norm: Amount | None
    learning_rate: Amount
    tokens: Count
    seconds: Amount
    rows: tuple[BatchRow, ...]
    all_tokens: Count | None = None
    padding: Share | None = None
    memory_bytes: Count | None = None


class TrainingLogged(Event, frozen=True, kw_only=True):
    """A window of steps was trained; `window` counts from 0, `epoch` from 1, steps from 1."""

    window: Count
    epoch: Ordinal
    model: str
    steps: tuple[StepLogged, ...]


CandidateVerdict = Literal[
    "taken",
    "unknown_row",
    "already_seed",
    "unjudged",
    "low_score",
    "similar_to_seed",
    "similar_to_candidate",
    "over_limit",
    "no_victim",
]
FeedbackOutcome = Literal["replaced", "warm_up", "later_epoch", "no_metric", "borrowed", "no_candidates", "no_victims"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one row of the chosen batch."""

    id: str
    verdict: CandidateVerdict
    similarity: Similarity | None = None
    nearest_id: str | None = None


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """One seed leaves the pool and another takes its place there."""

    victim_id: str
    victim_generated: Count
    victim_kept: Count
    seed: SeedTask


class ReplaceSeeds(Event, frozen=True, kw_only=True):
    """Command to the seed pool: what a training window changes in it, maybe nothing, and why.

    training_offset    of the window on `training-log`
    as_of_offset       the last record of `generated` that the seed scores used here reflect, -1 for none
    judged_offset      the last record of `judged` that the judge's scores used here reflect; -1 for none, and always
                       where the policy has no `candidate_min_score`
    """

    window: Count
    epoch: Ordinal
    training_offset: Offset
    as_of_offset: LastOffset
    judged_offset: LastOffset = -1
    outcome: FeedbackOutcome
    metric: Metric
    step: Ordinal | None = None
    value: Amount | None = None
    candidates: tuple[Candidate, ...] = ()
    replacements: tuple[Replacement, ...] = ()
