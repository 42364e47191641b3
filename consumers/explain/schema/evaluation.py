"""The stories of an evaluation: of a measured question, an answer, a judgement, and a model with its scores."""

import msgspec

from consumers.explain.schema.generation import RequestStory
from consumers.explain.schema.place import RecordPlace
from schemas.evaluation import (
    AnswerGiven,
    AnswerOutcome,
    AnswersJudged,
    Asked,
    Benchmark,
    EvaluatedModel,
    QuestionMeasured,
)


class QuestionStory(msgspec.Struct, frozen=True, kw_only=True):
    """A question of a benchmark as a model was measured on it.

    right, right_per_character   by the likeliest choice, and per character; None where there is no right choice
    """

    id: str
    at: RecordPlace
    right: bool | None
    right_per_character: bool | None
    event: QuestionMeasured


class JudgementSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement in a line. `models` are in the order in which their answers were shown."""

    id: str
    at: RecordPlace
    judge: str
    models: tuple[str, ...]
    scores: tuple[float, ...] | None


class PromptAnswerStory(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer to a prompt, the calls for it, and what judges made of it."""

    id: str
    at: RecordPlace
    event: AnswerGiven
    requests: tuple[RequestStory, ...]
    judgements: tuple[JudgementSummary, ...]


class JudgedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as a judge was shown it. `at`, `outcome` and `text` are None when it is not on `answers`."""

    id: str
    model: str
    score: float | None
    at: RecordPlace | None
    outcome: AnswerOutcome | None
    text: str | None


class AnswersJudgedStory(msgspec.Struct, frozen=True, kw_only=True):
    """A judge's reading of answers, the answers in the order shown, and the calls for it.

    others   other judgements of the same answers: in the other order, or by other judges
    """

    id: str
    at: RecordPlace
    event: AnswersJudged
    answers: tuple[JudgedAnswer, ...]
    requests: tuple[RequestStory, ...]
    others: tuple[JudgementSummary, ...]


class QuestionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A measured question in a line. `gold` and `chosen` are places of choices."""

    id: str
    question_id: str
    group: str
    question: str
    gold: int | None
    chosen: int
    chosen_per_character: int


class BenchmarkStory(msgspec.Struct, frozen=True, kw_only=True):
    """A model's questions of a benchmark.

    right, right_per_character   how many, of those that have a right choice
    asked   all of them: the wrong ones first, then the right ones, each in the order of the log
    """

    benchmark: Benchmark
    questions: int
    right: int
    right_per_character: int
    asked: tuple[QuestionSummary, ...]


class AnsweredSet(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answers to a set of prompts, counted by outcome; `ids` of the events."""

    asked: Asked
    outcomes: dict[str, int]
    ids: tuple[str, ...]


class EpochRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows trained in an epoch, in the order trained. `first` and `last` are None without rows."""

    epoch: int
    steps: int
    rows: int
    first: str | None
    last: str | None
    ids: tuple[str, ...]


class TrainedRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was trained on: the rows of the training log's steps up to its own.

    steps     logged up to `step`; fewer, and the log does not have all that the model was trained on
    offsets   of each partition of `kept`, as the model has it
    epochs    empty when it was trained on another run's rows, whose log this is not
    """

    run: str
    step: int
    steps: int
    offsets: tuple[int, ...] | None
    epochs: tuple[EpochRows, ...]


class ModelStory(msgspec.Struct, frozen=True, kw_only=True):
    """A model's scores down to its questions, its answers, the judgements of these, and what it was trained on.

    judgements   how many of its answers' judgements have scores, and how many have none
    """

    key: str
    model: EvaluatedModel
    benchmarks: tuple[BenchmarkStory, ...]
    answers: tuple[AnsweredSet, ...]
    judged: int
    unread: int
    trained: TrainedRows | None
