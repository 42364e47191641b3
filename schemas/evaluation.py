"""Events of an evaluation: a model's answers, a judge's readings of them, and the questions of a benchmark.

One event is one question. Each names the model it is about in full, so that it can be understood alone. Aggregates
(accuracies, win rates, intervals) are no events: they are folds of these (`consumers.evaluation`).
"""

import hashlib
from typing import Literal

import msgspec

from schemas.events import CallAnswered, Event, Judge, Scale
from schemas.scalars import Amount, Count, Offset, Ordinal, Place, Sha256


class TrainedBy(msgspec.Struct, frozen=True, kw_only=True):
    """The training that made a model.

    step      steps trained
    offsets   of each partition of `kept`, the offset after the last row trained; None: not known
    """

    run: str
    step: Count
    offsets: tuple[Offset, ...] | None = None


class EvaluatedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model, or a file of its answers.

    name     its name in reports
    kind     `folder` of weights, `hub` name, `endpoint`, or `file` of answers
    source   the hub's name or the endpoint's model; of a folder or file, its last path component
    sha256   of its weights and tokenizer, or of the file; None at an endpoint
    trained  None: it was not made by a run, or by which is not known
    """

    name: str
    kind: Literal["folder", "hub", "endpoint", "file"]
    source: str
    sha256: Sha256 | None = None
    trained: TrainedBy | None = None

    @property
    def key(self) -> str:
        """The model's identity: other weights under the same name are another model."""
        return f"{self.name}@{self.sha256[:12]}" if self.sha256 else f"{self.name}@{self.kind}/{self.source}"


# -- measured ------------------------------------------------------------------------------------------------------


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark as it was asked.

    version       of the prompt's form; a change of any character is another version
    shots         solved examples before each question
    form          `published`, or how the data's form differs from the published one
    data_sha256   of the question file
    """

    name: str
    version: Ordinal
    shots: Count
    form: str
    data_sha256: Sha256

    @property
    def key(self) -> str:
        """The benchmark's identity."""
        return f"{self.name}/{self.version}/{self.shots}/{self.data_sha256[:12]}"


class QuestionMeasured(Event, frozen=True, kw_only=True):
    """A model's log-likelihoods of the choices of one question.

    question_id      unique in the benchmark's data
    group            the subject; empty where there are none
    group_size       questions of that group in the data, of which a sample may be measured
    sample           how the measured questions were sampled; empty: all are asked
    question         the question as it is asked, without solved examples
    prompt_sha256    of the whole prompt
    choices          texts that are compared; each follows the prompt after a space
    loglikelihoods   natural logarithm of each choice's probability after the prompt, [choices]
    tokens           of each choice, [choices]
    gold             place of the right choice; None: the text's likelihood is what is measured
    chosen           place of the largest log-likelihood, the first of equals
    chosen_per_character   the same after division by the choice's length in characters
    engine, precision      what computed it
    """

    model: EvaluatedModel
    benchmark: Benchmark
    question_id: str
    group: str
    group_size: Count
    sample: str
    question: str
    prompt_sha256: Sha256
    choices: tuple[str, ...]
    loglikelihoods: tuple[float, ...]
    tokens: tuple[Count, ...]
    gold: Place | None
    chosen: Place
    chosen_per_character: Place
    engine: str
    precision: str


# -- answers -------------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The conditions that answers of a set were given under.

    prompts      name of the set of prompts
    sha256       of the set's prompts
    system       the system prompt; empty: none
    shots        solved examples before each prompt
    template     `chat` or `alpaca`; None: an endpoint's own, or unknown
    parameters   of sampling
    """

    prompts: str
    sha256: Sha256
    system: str = ""
    shots: Count = 0
    template: str | None = None
    parameters: dict[str, str | int | float | bool | None] = {}

    @property
    def key(self) -> str:
        """The identity of the conditions."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


AnswerOutcome = Literal["answered", "empty", "cut", "refused", "failed"]
"""A text; no text; a text cut off before its end; the endpoint refused the request; the call failed for good."""


class AnswerGiven(Event, frozen=True, kw_only=True):
    """A model's answer to one prompt of a set.

    prompt_id     unique in the set
    group         category of the prompt; empty where there are none
    references    right answers to compare with, if the set has some
    text          the answer as read, without thoughts; empty unless `answered` or `cut`
    reason        why there is no whole answer; empty if there is one
    answers       the calls' raw answers, in the order asked; none if it was read from a file
    reading       version of the parser (`streams.core.parse.answers`)
    """

    model: EvaluatedModel
    asked: Asked
    prompt_id: str
    group: str
    instruction: str
    input: str
    references: tuple[str, ...]
    outcome: AnswerOutcome
    text: str
    reason: str
    answers: tuple[CallAnswered, ...]
    cost_usd: Amount | None
    reading: Ordinal = 1


# -- judgements ----------------------------------------------------------------------------------------------------


class AnswersJudged(Event, frozen=True, kw_only=True):
    """A judge's reading of answers to one prompt: of two answers in one order, or of one answer.

    prompts      name of the set of prompts
    answer_ids   event ids of the answers, in the order they were shown
    models       keys of the models that gave them, in the same order
    scores       one for each answer, in the same order; None: no judge's answer could be read
    reason       the judge's reason; without scores, why there are none
    answers      every answer of the judge, in the order asked; the scores are from the last one
    reading      version of the parser (`streams.core.parse.answers`)
    """

    judge: Judge
    scale: Scale
    prompts: str
    prompt_id: str
    group: str
    answer_ids: tuple[str, ...]
    models: tuple[str, ...]
    scores: tuple[float, ...] | None
    reason: str
    answers: tuple[CallAnswered, ...]
    cost_usd: Amount | None
    reading: Ordinal = 1
