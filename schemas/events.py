"""Every event type of the log, in its current version.

Events are facts in the past tense. None means "not known", never zero. No event holds a secret, and the time of writing
is only in the CloudEvents headers, so that equal decisions are equal bytes.

The limits of a type (a count is not negative, a number is finite) are checked when an event is written and when it is
read (`schemas.envelope`), not when the object is created.
"""

from typing import Annotated, Literal

import msgspec

from schemas.policy import Metric, Policy
from schemas.scalars import Amount, Count, LastOffset, Offset, Ordinal, Place, Share, Similarity
from schemas.seeds import SeedTask
from schemas.segments import Segment, SegmentScores


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events and commands."""


# -- run -----------------------------------------------------------------------------------------------------------


class RunConfigured(Event, frozen=True, kw_only=True):
    """The first event of a run: its policy, and the seeds it starts with."""

    run: str
    policy: Policy
    seeds: tuple[SeedTask, ...]
    versions: dict[str, str]


class Classifier(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted classifier, as numbers; `streams.core.clusters` maps a text to a cluster with it.

    vocabulary     n-gram of each column; empty for `embeddings`, whose dimensions are the columns
    idf            weight of each column, [columns]; empty for `embeddings`
    components     axes of the PCA over the columns, [axes][columns]
    means          subtracted on each axis, [axes]
    cuts           threshold of each node of the tree, level by level: [1], [2], [4], ... values
    vectorizer     of the columns: `tfidf` of character n-grams, or sentence `embeddings`
    model_sha256   of the weights of the embedding model; None for `tfidf`
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


class InstructionsReleased(Event, frozen=True, kw_only=True):
    """Kept instructions whose answer is not used block no similar ones, from a generation on (policy `failed_answer`).

    from_offset   of `generated`: from this record on, candidates are not compared with them
    ids           of the kept instructions
    """

    from_offset: Offset
    ids: tuple[str, ...]


class RunStarted(Event, frozen=True, kw_only=True):
    """The run starts or continues: generators, filter and trainer are being started, with these program versions."""

    versions: dict[str, str]


class RunStopped(Event, frozen=True, kw_only=True):
    """The run was stopped on purpose. It may be continued later, with further events after this one."""

    reason: str


class GenerationHalted(Event, frozen=True, kw_only=True):
    """A generator stopped because its yield was too low for its cost. A start with another `floor` continues.

    rule                          the rule that the last decided generations broke
    value                         the measured value; None: no row was kept, so there is none
    floor                         the limit: the least yield, or the most tokens per kept row
    generated_total, kept_total   of the run, up to the last generation measured
    """

    lane: str
    reason: str
    rule: Literal["min_yield", "max_tokens_per_kept"]
    value: Amount | None
    floor: Amount
    generated_total: Count
    kept_total: Count


# -- calls ---------------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens as reported by the endpoint.

    cached_tokens   those of the prompt that it had in its cache; None: not reported
    """

    prompt_tokens: Count
    completion_tokens: Count
    cached_tokens: Count | None = None


class KeptShown(msgspec.Struct, frozen=True, kw_only=True):
    """Kept instructions that a generation's prompt shows beside the seeds, as in Self-Instruct.

    as_of   the last record of `generated` whose verdict the generator had read: the instructions are drawn from those
            kept by then; -1 for none
    ids     of the instructions, in the order drawn
    """

    as_of: LastOffset
    ids: tuple[str, ...]


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What of a generation's request follows what was kept before it (policy `seed_choice`, `adapt`, `hints`).

    as_of         the last record of `generated` whose verdict the generator had read, -1 for none: all here, and the
                  choice of the seeds, follows from the verdicts up to there
    temperature   of the list call; None: the style's own
    list_length   instructions asked for; None: the style's own
    hint_ids      kept instructions that the prompt asks the LLM not to repeat, in the order shown
    """

    as_of: LastOffset
    temperature: Amount | None = None
    list_length: Ordinal | None = None
    hint_ids: tuple[str, ...] = ()


class CallStarted(Event, frozen=True, kw_only=True):
    """An LLM call is about to be made. Without an outcome after it, its answer may have been paid for and lost.

    kept_shown   what its generation's prompt shows beside the seeds; None in styles that show only seeds
    steering     what of its generation's request follows what was kept; None: nothing does
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
    steering: Steering | None = None


class CallAnswered(Event, frozen=True, kw_only=True):
    """An LLM answered. Stored before the answer is used in any way.

    raw         the answer's text, unchanged
    reasoning   the model's reasoning, if the endpoint gives it apart from the answer; None: it gave none
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
    """An attempt at an LLM call ended without a usable answer.

    usage          tokens that the endpoint reports for it; None: not reported
    cost_usd       of that usage; None: not known
    perhaps_paid   usage is not reported, and the attempt may have been paid for: it timed out, was cut off, or its
                   response was unreadable
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
    """A part of an answer that no instruction could be parsed from."""

    reason: str
    text: str


class InstructionsGenerated(Event, frozen=True, kw_only=True):
    """One generation: its request and seeds, every raw answer, and the parsed instructions.

    seed_commands_offset   the last record of `seed-commands` the generator had read, -1 for none: the pool it sampled
    answers                of its calls, in the order asked; one in the `alpaca` style
    kept_shown             what its prompt showed beside the seeds; None in styles that show only seeds
    reading                version of the parser that the instructions come from (`streams.core.parse.answers`)
    cut                    places of the instructions whose output was cut off before its end
    segment                that the instructions are candidates for; None: they come from seeds
    scores                 of the candidates; None: there are none
    steering               what of its request followed what was kept; None: nothing did
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
    segment: Segment | None = None
    scores: SegmentScores | None = None
    steering: Steering | None = None


# -- kept, rejected ------------------------------------------------------------------------------------------------


class InstructionKept(Event, frozen=True, kw_only=True):
    """An instruction joined the data set, in the partition that is its cluster.

    generated_offset, place   its place on `generated`, and its position in the run's total order
    classifier_offset         `from_offset` of the classifier that assigned the cluster
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
    """Why one instruction was not kept; the similarity fields are set if `reason` is `similar`."""

    id: str
    place: Place
    reason: str
    similarity: Similarity | None = None
    nearest_id: str | None = None
    threshold: Similarity | None = None


class InstructionsRejected(Event, frozen=True, kw_only=True):
    """The filter has decided a generation: the rejections of all instructions that were not kept, maybe none.

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


# -- answered ------------------------------------------------------------------------------------------------------


class InstructionAnswered(Event, frozen=True, kw_only=True):
    """A kept instruction has its input and output, in the partition that is its cluster: the row that is trained.

    Only in a run whose policy has `answer` as `kept`; there each kept row gets one, in the order they were kept.

    row          as it was kept, with the input and output of its answers
    style        of the requests; empty: nothing was asked, because the row had its output when it was kept
    reason       why the row is not used: a rule or limit that its answer breaks, or why there is none; None: it is used
    answers      of its calls, in the order asked
    parameters   of its requests
    reading      version of the parser that input and output come from (`streams.core.parse.answers`)
    """

    row: InstructionKept
    style: str
    backend: str
    model: str
    parameters: dict[str, str | int | float | bool | None]
    answers: tuple[CallAnswered, ...]
    unparsed: tuple[Unparsed, ...]
    reason: str | None
    cost_usd: Amount | None
    reading: Ordinal = 1


# -- judged --------------------------------------------------------------------------------------------------------


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """A judge: a model with a version of a rubric. `backend` is how the model was reached."""

    backend: str
    model: str
    rubric: str
    version: Ordinal

    @property
    def name(self) -> str:
        """The judge's identity; another backend with the same model is the same judge."""
        return f"{self.rubric}/{self.version}/{self.model}"


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The scale of scores: from `least` to `most`, a `step` apart."""

    least: float
    most: float
    step: Annotated[float, msgspec.Meta(gt=0.0)]


class InstructionJudged(Event, frozen=True, kw_only=True):
    """An LLM scored a kept row. The filter's decision does not change.

    kept_id, generated_offset, place, cluster   of the row
    score     None if no answer had a readable score, or the request was refused
    reason    the judge's reason for the score; without a score, why there is none
    answers   every answer, in the order asked; the score is from the last one, if there is one
    reading   version of the parser that the score comes from (`streams.core.parse.answers`)
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
    """A row of a batch. Its `slot` belongs to the cluster `slot` modulo the run's clusters, and the row comes from
    `cluster`; they differ if the row is borrowed."""

    id: str
    slot: Count
    cluster: Count
    generated_offset: Offset

    def is_borrowed(self, clusters: int) -> bool:
        """Whether it is in a slot of another cluster, in a run with so many clusters."""
        return self.slot % clusters != self.cluster


class StepLogged(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer step. A value that is not finite is None.

    loss            mean over the response tokens of the batch
    loss_variance   population variance of the rows' mean losses
    grad_norm       L2 norm of the whole gradient, before clipping
    tokens          response tokens that count in the loss
    all_tokens      tokens of prompts and responses, without padding
    padding         share of padding in the model's input
    memory_bytes    peak memory of the device, or on the CPU of the process, so far; of all processes the largest
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
    """A window of steps was trained. `window` counts from 0; `epoch` and steps count from 1.

    documents_offset   the last record of `documents` that the trainer had read before the window's first step, -1 for
                       none: rows from documents withdrawn by then are in no step
    """

    window: Count
    epoch: Ordinal
    model: str
    steps: tuple[StepLogged, ...]
    documents_offset: LastOffset = -1


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
    """One seed of the pool is replaced by another."""

    victim_id: str
    victim_generated: Count
    victim_kept: Count
    seed: SeedTask


class ReplaceSeeds(Event, frozen=True, kw_only=True):
    """Command to the seed pool: the replacements that follow from a training window, maybe none, and why.

    training_offset    of the window on `training-log`
    as_of_offset       the last record of `generated` included in the seed scores used here, -1 for none
    judged_offset      the last record of `judged` included in the judge's scores used here; -1 for none, and always if
                       the policy has no `candidate_min_score`
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
