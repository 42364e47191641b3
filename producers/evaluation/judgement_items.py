"""What a judge is asked about answers: the list of pairs or single answers, and each as an item of ordered work.

The list is always the same: set after set, within it each pair of models, each prompt, first in one order and then in
the other. An item's number is its place in the list, so that recorded judgements are the same after any kill. Prompts
that a model gave no answer to keep their places and are not asked about.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import msgspec

from infra.models.templates import chat_question
from producers.backends.base import Sampling
from producers.calls.ask_again import ask_until_read
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import total_cost
from producers.calls.event_size import larger_than_a_record
from producers.calls.ordered_work import FinishedItem
from producers.calls.refusals import Refusals
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from producers.prompts.pair import AnswerRubric, judging_request
from schemas import ids
from schemas.evaluation import AnswerGiven, AnswersJudged
from schemas.events import Instruction, Judge
from streams.core.evaluation.pair_scores import scores_of
from streams.core.parse.answers import READING


@dataclass(frozen=True)
class AnswersOf:
    """The answers of a model to a set: keys of the model and of the conditions."""

    model: str
    asked: str

    def id(self, prompt: EvaluationPrompt) -> str:
        """Of the answer to a prompt."""
        return ids.answer_id(self.model, self.asked, prompt.id)


@dataclass(frozen=True)
class JudgedSet:
    """A set of prompts, and whose answers to it are judged. `limit`: only the first prompts."""

    prompts: PromptSet
    answers: tuple[AnswersOf, ...]
    limit: int | None = None

    def answer_ids(self) -> Iterator[str]:
        """Of all answers that are judged."""
        for prompt in self.prompts.prompts[: self.limit]:
            yield from (each.id(prompt) for each in self.answers)

    def key(self) -> tuple[str, ...]:
        """What identifies its items."""
        prompts = self.prompts
        count = len(prompts.prompts[: self.limit])
        return prompts.name, prompts.sha256, str(count), *(f"{each.model} {each.asked}" for each in self.answers)

    def shown(self, count: int) -> Iterator[tuple[EvaluationPrompt, tuple[str, ...]]]:
        """Each prompt with the ids of the `count` answers that are shown together, in their order."""
        groups = [(each,) for each in self.answers] if count == 1 else list(combinations(self.answers, 2))
        for group in groups:
            for prompt in self.prompts.prompts[: self.limit]:
                found = tuple(each.id(prompt) for each in group)
                yield prompt, found
                if count == 2:
                    yield prompt, found[::-1]


@dataclass(frozen=True)
class AnswerJudge:
    """Judges answers. `attempts`: how often scores are asked for until some can be read."""

    judge: Judge
    rubric: AnswerRubric
    completion: bool
    sampling: Sampling
    attempts: int
    refusals: Refusals


@dataclass(frozen=True)
class JudgementItem:
    """Answers to judge, in the order shown."""

    number: int
    judge: AnswerJudge
    prompts: str
    answers: tuple[AnswerGiven, ...]
    answer_ids: tuple[str, ...]

    @property
    def id(self) -> str:
        return ids.answers_judged_id(self.judge.judge.name, self.answer_ids)

    @property
    def causation_id(self) -> str:
        return self.answer_ids[-1]

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        judge, first = self.judge, self.answers[0]
        question = chat_question(Instruction(instruction=first.instruction, input=first.input))
        read = await ask_until_read(
            cause,
            caller,
            lambda step: judging_request(
                judge.rubric,
                question,
                [answer.text for answer in self.answers],
                completion=judge.completion,
                again=step > 0,
                sampling=judge.sampling,
            ),
            lambda answer: scores_of(answer, judge.rubric.scale, judge.rubric.shown, reading=READING),
            attempts=judge.attempts,
            refusals=judge.refusals,
        )
        event = AnswersJudged(
            judge=judge.judge,
            scale=judge.rubric.scale,
            prompts=self.prompts,
            prompt_id=first.prompt_id,
            group=first.group,
            answer_ids=self.answer_ids,
            models=tuple(answer.model.key for answer in self.answers),
            scores=read.value,
            reason=read.reason,
            answers=read.answers,
            cost_usd=total_cost(read.answers),
            reading=READING,
        )
        if larger := larger_than_a_record(event):
            why = f"the judge's answers have {larger}; they are on `calls`"
            event = msgspec.structs.replace(event, scores=None, reason=why, answers=())
        return FinishedItem(event, self.id, self.id, read.causation_id)


def judgement_items(
    sets: tuple[JudgedSet, ...], judge: AnswerJudge, given: Mapping[str, AnswerGiven]
) -> tuple[tuple[JudgementItem, ...], int]:
    """The items to judge; and how many are not asked about, because an answer is missing or has no text."""
    items: list[JudgementItem] = []
    number = 0
    for judged in sets:
        for _, answer_ids in judged.shown(judge.rubric.shown):
            answers = tuple(given[id] for id in answer_ids if id in given and given[id].text)
            if len(answers) == len(answer_ids):
                items.append(JudgementItem(number, judge, judged.prompts.name, answers, answer_ids))
            number += 1
    return tuple(items), number - len(items)
