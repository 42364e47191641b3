"""What `sedi explain` tells: the schema of its JSON.

`at` says where on the log a fact stands. None means "not known" or "there is none", never zero. What is not on the log
but computed from it says so: `rules`, `recomputed`, `nearest`, `span`, `sampled_as_told`.
"""

from typing import Any, Literal

import msgspec

from consumers.explain.locate import Kind
from schemas.events import CandidateVerdict, FeedbackOutcome, Usage
from schemas.policy import Metric

Span = tuple[int, int]
Outcome = Literal["kept", "rejected", "undecided"]


class RecordPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A record's place on the log, and when it was written."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class SeedShown(msgspec.Struct, frozen=True, kw_only=True):
    """A seed as a generation was shown it. `since` is the command that put it in the pool, None for the run's start;
    texts are None when the run knows no such seed."""

    id: str
    instruction: str | None
    input: str | None
    output: str | None
    since: RecordPlace | None


class KeptRowShown(msgspec.Struct, frozen=True, kw_only=True):
    """A kept instruction that a generation was shown beside its seeds; its text is None when it is not on `kept`."""

    id: str
    instruction: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a request. `none`: no outcome is on the log; an answer may have been paid for and lost.
    `perhaps_paid`: of one that failed, and the endpoint does not say what it took."""

    attempt: int
    outcome: Literal["answered", "failed", "none"]
    started: RecordPlace | None
    ended: RecordPlace | None
    error: str | None = None
    status: int | None = None
    model: str | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    perhaps_paid: bool = False


class RequestStory(msgspec.Struct, frozen=True, kw_only=True):
    """The step-th LLM request of a generation, with its attempts in order."""

    request_id: str
    step: int
    attempts: tuple[Attempt, ...]


class GenerationStory(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation was asked for.

    seed_commands_offset   the pool it sampled: the last command the generator had seen, -1 for none
    sampled_as_told        whether sampling that pool again gives these seeds
    kept_shown             kept instructions shown beside them, in styles that show some
    classification         by place, whether the LLM called the instruction a classification task, where it was asked
    parameters             as the generator told them
    """

    id: str
    at: RecordPlace
    lane: str
    number: int
    style: str
    parser: str
    backend: str
    model: str
    parameters: dict[str, str | int | float | bool | None]
    seeds: tuple[SeedShown, ...]
    seed_commands_offset: int
    sampled_as_told: bool
    requests: tuple[RequestStory, ...]
    cost_usd: float | None
    instructions: int
    unparsed: dict[str, int]
    kept_shown: tuple[KeptRowShown, ...] = ()
    classification: dict[int, bool] = {}


class AnswerStory(msgspec.Struct, frozen=True, kw_only=True):
    """A raw answer that an instruction was read from.

    holds   what of the instruction it holds
    span    characters [start, end) of `raw` where the instruction stands; None when it does not, or cannot be found
    """

    request_id: str
    holds: Literal["instruction", "output", "both"]
    raw: str
    span: Span | None


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the run's policy, applied again; `no_tokens` is always one, and `cut_output` from reading 2 on."""

    name: str
    passed: bool


class NearestRow(msgspec.Struct, frozen=True, kw_only=True):
    """The most similar of all it was compared with: kept rows before it in the run's order (and the run's initial
    seeds where the policy says so); of equals the earliest.

    similarity         ROUGE-L F, computed here
    lcs                tokens of the longest common subsequence
    tokens             of the instruction, and of the other
    marks, its_marks   where the tokens of that subsequence stand in the instruction, and in `instruction`; None when
                       tokens cannot be told apart in the text
    """

    id: str
    kind: Literal["kept", "seed"]
    at: RecordPlace | None
    instruction: str
    similarity: float
    lcs: int
    tokens: tuple[int, int]
    marks: tuple[Span, ...] | None
    its_marks: tuple[Span, ...] | None


class VerdictStory(msgspec.Struct, frozen=True, kw_only=True):
    """What the filter decided, and what deciding again gives.

    reason, similarity, nearest_id, threshold   as the log tells; of a kept row the threshold is the policy's
    recomputed   "kept", or the reason for a rejection; None while it is undecided
    agrees       whether the log and that are the same, similarity and nearest too
    """

    outcome: Outcome
    at: RecordPlace | None
    reason: str | None
    similarity: float | None
    nearest_id: str | None
    threshold: float
    recomputed: str | None
    agrees: bool | None


class ClassifierInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The classifier that was in force."""

    at: RecordPlace
    from_offset: int
    fitted_on: Literal["seeds", "kept"]
    texts: int
    kept_total: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge made of the row. `score` is None when none could be read; `raws` are its answers, the last one read.

    least, most   of its scale
    """

    at: RecordPlace
    judge: str
    backend: str
    score: float | None
    least: float
    most: float
    reason: str
    raws: tuple[str, ...]
    cost_usd: float | None


class TrainedStep(msgspec.Struct, frozen=True, kw_only=True):
    """An optimizer step whose batch held the row.

    slot, cluster   the place it filled, and where it comes from; `borrowed` when they differ
    chosen          whether its window chose this batch to look for seeds in
    """

    at: RecordPlace
    epoch: int
    window: int
    step: int
    model: str
    loss: float | None
    loss_variance: float | None
    grad_norm: float | None
    learning_rate: float
    slot: int
    cluster: int
    borrowed: bool
    chosen: bool


class SeedReplacement(msgspec.Struct, frozen=True, kw_only=True):
    """One seed taking another's place, because of which training window and step.

    value                          of the metric at the step
    victim_generated, victim_kept  SeedGen and SeedKept of the one that left, as the command used them
    victim_score                   victim_kept / victim_generated
    """

    at: RecordPlace
    epoch: int
    window: int
    step: int | None
    metric: Metric
    value: float | None
    victim_id: str
    victim_instruction: str | None
    victim_generated: int
    victim_kept: int
    victim_score: float | None
    new_id: str
    new_instruction: str


class Candidacy(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on the row as a candidate for a seed, when its batch was chosen.

    similarity, nearest_id                   to the seeds and the candidates taken before it
    threshold, min_score, max_replacements   what the policy asks: the most similarity, the least of the judge's score
                                             (None: none), the most replacements a window (None: no limit)
    """

    at: RecordPlace
    epoch: int
    window: int
    step: int | None
    metric: Metric
    value: float | None
    outcome: FeedbackOutcome
    verdict: CandidateVerdict
    similarity: float | None
    nearest_id: str | None
    threshold: float
    min_score: float | None
    max_replacements: int | None
    replaced: SeedReplacement | None


class SeedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that a seed was shown in. Numbers are None while the filter is not done with it.

    uncounted   of the generated ones, how many do not count in the score: a rule rejected them
    score       of the seed after it: kept / counted of all its generations so far; None before anything counts
    """

    generation_id: str
    offset: int
    generated: int | None = None
    kept: int | None = None
    uncounted: int | None = None
    score: float | None = None


class SeedStory(msgspec.Struct, frozen=True, kw_only=True):
    """A seed's story.

    since         how it came into the pool; None when it was there from the start
    until         how it left; None when it is there
    generated, kept, score   SeedGen (what counts of what was generated), SeedKept and their quotient now
    generations   all it was shown in, in the order of the log
    """

    id: str
    instruction: str
    input: str
    output: str
    origin: Literal["initial", "promoted"]
    since: SeedReplacement | None
    until: SeedReplacement | None
    generated: int
    kept: int
    score: float | None
    generations: tuple[SeedGeneration, ...]


class InstructionStory(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction's story. `cluster` is None for one that is not kept."""

    id: str
    place: int
    instruction: str
    input: str
    output: str
    generation: GenerationStory
    answers: tuple[AnswerStory, ...]
    rules: tuple[RuleResult, ...]
    verdict: VerdictStory
    nearest: NearestRow | None
    cluster: int | None
    classifier: ClassifierInForce | None
    training: tuple[TrainedStep, ...]
    candidacies: tuple[Candidacy, ...]
    judged: tuple[Judgement, ...] = ()


class InstructionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction in a line. `steps` are (epoch, step)."""

    id: str
    place: int
    instruction: str
    outcome: Outcome
    reason: str | None
    similarity: float | None
    nearest_id: str | None
    cluster: int | None
    steps: tuple[tuple[int, int], ...]
    became_seed: bool


class RequestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A generation's or a request's story.

    step           of the request that was asked about, None for a generation
    generation     None when it is not (yet) on `generated`: then only what was called is known
    """

    generation_id: str
    step: int | None
    generation: GenerationStory | None
    requests: tuple[RequestStory, ...]
    instructions: tuple[InstructionSummary, ...]


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a chat, or the whole prompt of a completion (`role` is None)."""

    role: str | None
    content: str


class RebuiltPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asked. The log does not hold it: it is rebuilt from style, parameters and seeds.

    messages   None, with the `reason`, when it cannot be rebuilt faithfully
    by         what it was rebuilt by
    """

    step: int
    messages: tuple[PromptMessage, ...] | None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    reason: str | None = None
    by: str = "rebuilt by this program version"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the log says about one id; a promoted seed has the stories of both."""

    run: str
    id: str
    kinds: tuple[Kind, ...]
    instruction: InstructionStory | None
    seed: SeedStory | None
    made: RequestOutcome | None
    prompts: tuple[RebuiltPrompt, ...] = ()
