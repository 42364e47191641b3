"""The answer to one prompt, as an item of ordered work."""

from dataclasses import dataclass

import msgspec

from producers.backends.base import RequestRefused, Sampling, Transient
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import total_cost
from producers.calls.event_size import larger_than_a_record
from producers.calls.ordered_work import FinishedItem
from producers.calls.refusals import Refusals
from producers.evaluation.answering import answer_request
from producers.evaluation.prompt_sets import EvaluationPrompt
from schemas import ids
from schemas.evaluation import AnswerGiven, Asked, EvaluatedModel
from schemas.events import CallAnswered
from streams.core.evaluation.given import ReadOutcome, read_answer
from streams.core.parse.answers import READING


@dataclass(frozen=True)
class AnswerItem:
    """A prompt to answer, as an item of ordered work; `number`: its place in the set."""

    id: str
    causation_id: str
    number: int
    prompt: EvaluationPrompt
    asked: Asked
    model: EvaluatedModel
    sampling: Sampling
    refusals: Refusals

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        request = answer_request(self.prompt, self.asked.system, self.asked.template, self.sampling)
        causation_id = self.causation_id
        answers: tuple[CallAnswered, ...] = ()
        try:
            answer = await caller.ask(cause, 0, request)
        except RequestRefused as refusal:
            # This prompt will never be answered, but the next ones may be.
            if self.refusals.too_many(refusal):
                raise
            # the endpoint refused the request, or its attempts failed until they were used up
            failed = isinstance(refusal.__cause__, Transient) or refusal.reason == "too_large"
            given = ReadOutcome("failed" if failed else "refused", "", str(refusal))
            causation_id = refusal.event_id or causation_id
        else:
            self.refusals.answered()
            answers = (answer,)
            given = read_answer(answers, READING)
            causation_id = ids.call_answered_id(answer.request_id, answer.attempt)
        return FinishedItem(self.event(given, answers), self.id, self.id, causation_id)

    def event(self, given: ReadOutcome, answers: tuple[CallAnswered, ...]) -> AnswerGiven:
        """The event of an answer. One that is larger than a record may be has failed: it holds no text then."""
        event = AnswerGiven(
            model=self.model,
            asked=self.asked,
            prompt_id=self.prompt.id,
            group=self.prompt.group,
            instruction=self.prompt.instruction,
            input=self.prompt.input,
            references=self.prompt.references,
            outcome=given.outcome,
            text=given.text,
            reason=given.reason,
            answers=answers,
            cost_usd=total_cost(answers) if answers else None,
            reading=READING,
        )
        larger = larger_than_a_record(event)
        if not larger:
            return event
        where = "its text is on `calls`" if answers else "its text is in the file only"
        why = f"the answer with its prompt has {larger}; {where}"
        return msgspec.structs.replace(event, outcome="failed", text="", reason=why, answers=())
