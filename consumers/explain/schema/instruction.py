"""An instruction's story: the answers it was parsed from, the verdict, its scores, its training, its candidacies."""

from typing import Literal

import msgspec

from consumers.explain.schema.answered import RowAnswerStory
from consumers.explain.schema.document import SegmentStory
from consumers.explain.schema.generation import GenerationStory
from consumers.explain.schema.place import RecordPlace, Span
from consumers.explain.schema.seed import SeedReplacement
from schemas.events import CandidateVerdict, FeedbackOutcome
from schemas.policy import Metric

Outcome = Literal["kept", "rejected", "undecided"]


class AnswerStory(msgspec.Struct, frozen=True, kw_only=True):
    """A raw answer that an instruction was parsed from.

    holds   the part of the instruction that it holds
    span    characters [start, end) of the instruction in `raw`; None when it is not there or cannot be found
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
    """The most similar of the kept rows before it in the total order; of the run's initial seeds too, if the policy
    compares with them. Of equal ones the earliest.

    similarity         ROUGE-L F, computed here
    lcs                tokens of the longest common subsequence
    tokens             of the instruction, and of the other
    marks, its_marks   the tokens of that subsequence in the instruction, and in `instruction`; None when the tokens
                       have no places in the text
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
    """The filter's verdict, and the verdict decided again.

    reason, similarity, nearest_id, threshold   as recorded; of a kept row the threshold is the policy's
    recomputed   "kept", or the reason for a rejection; None while it is undecided, and for a candidate for a segment
                 that was rejected because of the other candidates or its scores: `sedi replay` decides that again
    agrees       whether both are the same, similarity and nearest too
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
    """A judge's score of the row.

    score         None when none could be parsed
    least, most   ends of its scale
    raws          its answers; the score is from the last one
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

    slot, cluster   the slot it filled, and the cluster it is from; `borrowed` when they differ
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


class Candidacy(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on the row as a candidate for a seed, when its batch was chosen.

    similarity, nearest_id   to the seeds and the candidates taken before it
    threshold                the policy's highest similarity
    min_score                the policy's lowest judge's score; None for no limit
    max_replacements         the policy's most replacements a window; None for no limit
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


class InstructionStory(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction's story.

    input, output   as they are trained: of its answer where that was asked for after it was kept
    cluster         None unless it is kept
    segment         None unless it is a candidate for one
    answered        None unless it is kept in a run that answers kept instructions alone
    """

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
    segment: SegmentStory | None = None
    answered: RowAnswerStory | None = None


class InstructionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction in a line. `steps` are (epoch, step); `unused`: why its answer is not used."""

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
    unused: str | None = None
