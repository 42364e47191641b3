"""The results of an evaluation, as folds of its events give them and reports show them.

Models are named by their keys (`EvaluatedModel.key`). Shares and rates are from 0 to 1. Nothing is left out in silence:
what could not be scored is counted beside what was.
"""

import msgspec

from schemas.evaluation import EvaluatedModel


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


class GroupScore(msgspec.Struct, frozen=True, kw_only=True):
    """A subject, or a group of subjects. `of`: questions in the data; `accuracy`: share of right answers."""

    name: str
    questions: int
    of: int
    accuracy: Interval
    accuracy_per_character: Interval


class BenchmarkScore(msgspec.Struct, frozen=True, kw_only=True):
    """A model's score on a benchmark, over the questions measured.

    title     the benchmark's name for people
    of        questions in the data, of the groups that were measured
    metric    `accuracy` or `accuracy_per_character`: which of the two differences and drawings show; the papers give
              accuracy
    groups    of subjects (MMLU: the groups of Table 5, then the subjects); empty without subjects
    precision, engine   what computed it; several are joined by commas
    """

    model: str
    benchmark: str
    name: str
    title: str
    shots: int
    form: str
    sample: str
    questions: int
    of: int
    metric: str
    accuracy: Interval
    accuracy_per_character: Interval
    groups: tuple[GroupScore, ...]
    precision: str
    engine: str


class HeldOutScore(msgspec.Struct, frozen=True, kw_only=True):
    """A model's mean loss (negative log-likelihood) per token of held-out responses; the interval is over texts.

    form    name of the file
    """

    model: str
    benchmark: str
    name: str
    form: str
    texts: int
    tokens: int
    loss: Interval


class BenchmarkDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A model against the first one, on the questions that both were measured on: `second` minus `first`.

    metric       of `BenchmarkScore`; or `loss` of held-out texts, where less is better
    questions    common to both
    first_score, second_score   on these questions alone
    better, worse   questions that only the second model, or only the first, gets right; texts with a lower, or a higher
                 loss per token
    difference   the interval is of the paired bootstrap over questions: above or below zero at both ends, the models
                 differ by more than the choice of questions explains
    clear        zero is outside the interval, and six questions or more changed: five that all change to one side have
                 a chance of 1 in 16
    """

    first: str
    second: str
    benchmark: str
    name: str
    title: str
    metric: str
    questions: int
    first_score: float
    second_score: float
    better: int
    worse: int
    difference: Interval
    clear: bool


class JudgedRefusals(msgspec.Struct, frozen=True, kw_only=True):
    """A further judge's reading of the same answers, with the meaning of the fields of `AnswerCounts`."""

    judge: str
    refusals: Interval | None
    judged: int
    unread: int


class AnswerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a set's prompts with one model under one set of conditions.

    prompts     prompts asked
    outcomes    how many ended so (`AnswerOutcome`)
    characters  mean length of the answers, in characters
    refusals_by_list    share of answers with a text that the list of phrases takes for refusals; None: no such answer
    refusals_by_judge   share by a judge, over the answers it could read; None: not judged
    refusal_judge       that judge, the first on the log; empty: not judged
    judged      answers it was asked about
    unread      of these, judgements that could not be read
    more_judges of the same answers' refusals, in the order of the log
    conditions  the other conditions in words, where the model was asked the set under others too
    """

    model: str
    set: str
    asked: str
    system: str
    shots: int
    prompts: int
    outcomes: dict[str, int]
    characters: float
    refusals_by_list: Interval | None
    refusals_by_judge: Interval | None
    refusal_judge: str = ""
    judged: int = 0
    unread: int
    more_judges: tuple[JudgedRefusals, ...] = ()
    conditions: str = ""


class GenerationScore(msgspec.Struct, frozen=True, kw_only=True):
    """Answers compared with references: the best over a prompt's references, averaged over prompts (0 to 1).

    scored              prompts in the averages: with a reference, and a call that did not fail; an empty or refused
                        answer scores 0
    without_reference   prompts that have none, and are not scored
    without_tokens      scored prompts whose references hold no ASCII letters or digits: their ROUGE-L is 0 for any
                        answer
    outcomes            how many of all answers ended so (`AnswerOutcome`)
    rouge_l, meteor     bootstrapped over prompts; None: nothing is scored
    meteor_matching     how METEOR matched words: `exact, stem`, and `synonym` where WordNet was found
    by_group            name to (prompts, ROUGE-L)
    conditions          the other conditions in words, where the model was asked the set under others too
    """

    model: str
    set: str
    asked: str
    shots: int
    scored: int
    without_reference: int
    without_tokens: int = 0
    outcomes: dict[str, int]
    rouge_l: Interval | None
    meteor: Interval | None
    meteor_matching: str = ""
    by_group: dict[str, tuple[int, float]]
    conditions: str = ""


class ComparisonScore(msgspec.Struct, frozen=True, kw_only=True):
    """Two models compared on one set of prompts, or on all sets together (`set` is then `all`).

    A prompt is scored when both orders were read. Twice better is a win, once each a tie, twice worse a loss. Equal
    scores count as `equal` says. Each prompt is scored, unanswered, unread or unjudged, and only one of them.

    first_system, second_system   system prompts that the answers were given under; empty: none
    first_conditions, second_conditions   the other conditions in words, where the model was also asked under others
    win_rate           ties count as half; bootstrapped over prompts
    length_controlled  the same with the answers' lengths held equal, without a difficulty term; None: too few prompts
    prompts            of the set that both models were asked
    unread             answered prompts with at least one judgement that could not be read
    unjudged           answered prompts with a judgement missing
    unanswered         prompts that a model gave no answer to, by model key
    neither_answered   of them, prompts that both gave no answer to, and are in both numbers
    cut                prompts whose answer was cut off before its end, by model key; they are scored all the same
    orders_disagree    share of scored prompts whose two orders prefer different answers
    first_place_wins   share of the scored prompts' readings with a preference that prefer the answer shown first
    """

    first: str
    second: str
    judge: str
    set: str
    equal: str
    prompts: int
    scored: int
    win: int
    tie: int
    lose: int
    win_rate: Interval | None
    length_controlled: Interval | None
    unread: int
    unjudged: int
    unanswered: dict[str, int]
    cut: dict[str, int]
    orders_disagree: float | None
    first_place_wins: float | None
    neither_answered: int = 0
    first_system: str = ""
    second_system: str = ""
    first_conditions: str = ""
    second_conditions: str = ""


class Strength(msgspec.Struct, frozen=True, kw_only=True):
    """A model's Bradley-Terry strength by a judge: the log-odds against an average model, bootstrapped over prompts.

    system    system prompt that its answers were given under; empty: none
    conditions   the other conditions in words, where the model was also asked under others
    prompts   scored comparisons with another model
    """

    model: str
    strength: Interval
    judge: str = ""
    system: str = ""
    conditions: str = ""
    prompts: int = 0


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on a run's log about evaluations.

    models       by key
    differences  of each model from the first
    strengths    of three models or more; empty otherwise
    notes        sentences for people: forms that differ from the published, samples, arithmetic, what was not scored
    unreadable   records that could not be read, by topic; not in any number here
    """

    run: str
    models: dict[str, EvaluatedModel]
    benchmarks: tuple[BenchmarkScore, ...]
    held_out: tuple[HeldOutScore, ...]
    differences: tuple[BenchmarkDifference, ...]
    answers: tuple[AnswerCounts, ...]
    generation: tuple[GenerationScore, ...]
    comparisons: tuple[ComparisonScore, ...]
    strengths: tuple[Strength, ...]
    notes: tuple[str, ...]
    unreadable: dict[str, int]
