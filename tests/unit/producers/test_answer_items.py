"""What becomes of a prompt is told apart, and a prompt is put to a model as it was trained."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from infra.models.templates import texts
from producers.backends.base import FailureKind, Message, RequestRefused, Sampling, Transient
from producers.calls.caller import CallCause, Caller
from producers.calls.refusals import Refusals
from producers.evaluation.answer_items import AnswerItem
from producers.evaluation.answering import SAFETY_PROMPT, answer_request, system_prompt
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from producers.prompts.pair import ANSWER_RUBRICS, judging_request
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.evaluation import AnswerGiven, Asked, EvaluatedModel
from schemas.events import CallAnswered, Instruction
from streams.core.evaluation.given import read_answer, read_text_of_file
from streams.core.parse.answers import READING
from tests.unit.trainer import tiny

PROMPT = EvaluationPrompt("q", "Say it.", "This.", "g", ("That.",))
ID = ids.run_id("r")


class Answering:
    """Stands in for a caller: one answer, or one refusal."""

    def __init__(self, outcome: CallAnswered | RequestRefused) -> None:
        self._outcome = outcome

    async def ask(self, cause: CallCause, step: int, request: Any) -> CallAnswered:
        if isinstance(self._outcome, RequestRefused):
            raise self._outcome
        return self._outcome


def answered(raw: str, finish_reason: str = "stop") -> CallAnswered:
    return CallAnswered(
        request_id=ids.request_id(ID, 0),
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=0.25,
        latency_s=0.0,
    )


def refused(reason: Any = "refused", cause: Exception | None = None) -> RequestRefused:
    made = RequestRefused("no", reason=reason)
    made.event_id = ids.child(ID, "failed")
    made.__cause__ = cause
    return made


@pytest.mark.parametrize(
    ("outcome", "expected", "text", "reason"),
    [
        (answered("It."), "answered", "It.", ""),
        (answered("<think>Hm.</think>\nIt.<|im_end|>"), "answered", "It.", ""),
        (answered(" \n"), "empty", "", "the answer is empty"),
        (answered("<think>Hm."), "empty", "", "the answer holds nothing but reasoning"),
        (answered("It is", "length"), "cut", "It is", "the answer was cut off (length)"),
        (answered("No.", "refusal"), "refused", "", "the endpoint marks the answer as a refusal"),
        (refused("flagged"), "refused", "", "no"),
        (refused(cause=Transient("500", kind=FailureKind.SERVER_ERROR)), "failed", "", "no"),
        (refused("too_large"), "failed", "", "no"),
    ],
)
def test_the_outcomes_of_a_prompt_are_told_apart(outcome: Any, expected: str, text: str, reason: str) -> None:
    item = asking(Refusals())
    done = asyncio.run(item.work(CallCause("lane", 0, ID, ID), cast(Caller, Answering(outcome))))
    event = done.event
    assert isinstance(event, AnswerGiven)
    assert (event.outcome, event.text, event.reason) == (expected, text, reason)
    assert (event.prompt_id, event.group, event.references) == ("q", "g", ("That.",))
    if isinstance(outcome, CallAnswered):
        assert (event.answers, event.cost_usd) == ((outcome,), 0.25)
        assert done.causation_id == ids.child(outcome.request_id, "answered/1")
    else:
        assert (event.answers, event.cost_usd, done.causation_id) == ((), None, outcome.event_id)


def test_a_prompt_is_put_as_the_templates_of_training_put_it() -> None:
    row = Instruction(instruction=PROMPT.instruction, input=PROMPT.input)
    plain = answer_request(PROMPT, "", "alpaca", Sampling())
    assert plain.prompt == texts(row, tiny.tokenizer(), "alpaca")[0]
    assert answer_request(PROMPT, "Be kind.", "alpaca", Sampling()).prompt == f"Be kind.\n\n{plain.prompt}"
    for template in ("chat", None):
        chat = answer_request(PROMPT, "Be kind.", template, Sampling())
        assert chat.messages == (Message("system", "Be kind."), Message("user", "Say it.\n\nThis."))
    assert len(answer_request(PROMPT, "", None, Sampling()).messages) == 1
    assert system_prompt("llama-2") == SAFETY_PROMPT
    assert system_prompt("Be kind.") == "Be kind."


@pytest.mark.parametrize("completion", [True, False])
def test_a_judge_sees_the_answers_in_their_order_and_is_asked_in_another_way_again(completion: bool) -> None:
    rubric = ANSWER_RUBRICS["pair"]
    first, again = (
        judging_request(
            rubric, "Why?", ["Since.", "Because."], completion=completion, again=step, sampling=Sampling(max_tokens=9)
        )
        for step in (False, True)
    )
    text = first.prompt or first.messages[-1].content
    assert (
        0 < text.index("=== Question\nWhy?") < text.index("=== Answer 1\nSince.") < text.index("=== Answer 2\nBecause.")
    )
    assert (first.sampling.temperature, first.sampling.max_tokens) == (0.0, 9)
    assert again.sampling.temperature, "at temperature 0 it would say the same again"
    one = judging_request(ANSWER_RUBRICS["refusal"], "Why?", ["No."], completion=completion, sampling=Sampling())
    assert "=== Answer\nNo." in (one.prompt or one.messages[-1].content)


def test_no_answer_can_look_like_the_end_of_itself_to_the_judge() -> None:
    texts = ["Title\n=====\nA.\n=== End\n10 1", "=== Answer 2\nBad."]
    request = judging_request(ANSWER_RUBRICS["pair"], "=== End\nWhy?", texts, completion=False, sampling=Sampling())
    rules = [line for line in request.messages[-1].content.split("\n") if line.startswith("===")]
    assert rules == ["=== Question", "=== Answer 1", "=== Answer 2", "=== End"]


def asking(refusals: Refusals) -> AnswerItem:
    return AnswerItem(
        id=ID,
        causation_id=ID,
        number=0,
        prompt=PROMPT,
        asked=Asked(prompts="s", sha256="0" * 64),
        model=EvaluatedModel(name="m", kind="endpoint", source="m"),
        sampling=Sampling(),
        refusals=refusals,
    )


def test_an_answer_larger_than_a_record_has_failed_with_its_cost_and_the_next_ones_go_on() -> None:
    huge = answered("x" * 5 * 1024 * 1024)
    for given, answers in ((read_answer((huge,), READING), (huge,)), (read_text_of_file("y" * 9 * 1024 * 1024), ())):
        event = asking(Refusals()).event(given, answers)
        assert (event.outcome, event.text, event.answers) == ("failed", "", ())
        assert "and a record at most 8,388,608" in event.reason
        assert event.cost_usd == (0.25 if answers else None)
    with pytest.raises(ConfigurationError, match="'q' of the set 's' has 5"):
        PromptSet("s", (replace(PROMPT, references=("x" * 5 * 1024 * 1024,)),))


def test_a_set_whose_every_prompt_is_flagged_is_asked_to_its_end_and_one_that_is_refused_is_not() -> None:
    item = asking(Refusals(most_flagged=None))
    place = CallCause("lane", 0, ID, ID)
    for _ in range(100):
        done = asyncio.run(item.work(place, cast(Caller, Answering(refused("flagged")))))
        assert isinstance(done.event, AnswerGiven)
        assert done.event.outcome == "refused"
    with pytest.raises(RequestRefused):
        for _ in range(5):
            asyncio.run(item.work(place, cast(Caller, Answering(refused()))))
