"""A kept instruction is explained with its answer, wherever that stands; a request for the answer leads to it."""

import asyncio

import pytest

from consumers.explain.story import explain
from infra.settings import Settings
from producers.backends.base import Request
from producers.generate.style_factory import StyleInUse, StyleName, answer_style, style_of
from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionsGenerated
from sedi.explain_panels import show_explanation
from sedi.rebuilt_prompts import with_prompts
from tests.unit.consumers.answered_run import BREAD, BREAD_ID, CHESS_ID, POEM_ID, AnsweredRun, answered_run
from tests.unit.consumers.recorded_run import row_id, source_of
from tests.unit.consumers.test_explain_prompts import as_asked, as_request

SETTINGS = Settings(backend="openai", api="chat")
WAITING = row_id(3, 0)


@pytest.fixture
def story() -> AnsweredRun:
    return answered_run()


def test_a_used_row_has_its_answer_and_the_rules_that_were_applied(story: AnsweredRun) -> None:
    found = explain(source_of(story), BREAD_ID).instruction
    assert found is not None and found.answered is not None
    assert (found.output, found.answered.reason, found.answered.agrees) == ("Mix, wait, fold, wait, bake.", None, True)
    assert found.answered.at is not None and found.answered.at.topic == "answered"
    assert [request.request_id for request in found.answered.requests] == [ids.request_id(ids.answered_id(BREAD_ID), 0)]
    assert "empty_output" not in {rule.name for rule in found.rules} and found.verdict.agrees
    assert [request.step for request in found.generation.requests] == [0] and found.training


def test_a_row_is_told_not_used_or_waiting(story: AnsweredRun, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(story)
    for id, reason in ((POEM_ID, "cut_output"), (CHESS_ID, "flagged")):
        found = explain(source, id).instruction
        assert found is not None and found.answered is not None
        assert (found.answered.reason, found.answered.agrees) == (reason, True)
    waiting = explain(source, WAITING)
    assert waiting.instruction is not None and waiting.instruction.answered is not None
    assert waiting.instruction.answered.at is None and waiting.instruction.output == ""
    show_explanation(waiting)
    show_explanation(with_prompts(explain(source, POEM_ID)))
    show_explanation(explain(source, ids.generation_id("main", 2)))
    out = capsys.readouterr().out
    assert "none yet" in out and "NOT used: cut_output (read again: the same)" in out and "not used: flagged" in out


def test_an_altered_answer_is_told_not_the_same(story: AnsweredRun) -> None:
    story.change(InstructionAnswered, 1, reason=None)
    found = explain(source_of(story), POEM_ID).instruction
    assert found is not None and found.answered is not None and found.answered.agrees is False


@pytest.mark.parametrize("shorten", [False, True])
def test_a_request_for_an_answer_leads_to_the_instruction(story: AnsweredRun, shorten: bool) -> None:
    story.call(ids.answered_id(WAITING), "answer/1-of-1", 6, 0, "Hang plants from it.")
    for id in (BREAD_ID, WAITING):
        for name in (ids.answered_id(id), ids.request_id(ids.answered_id(id), 0)):
            found = explain(source_of(story), name[:13] if shorten else name)
            assert (found.id, found.kinds) == (id, ("instruction",))
    refused = ids.answered_id(CHESS_ID)  # no call of it is on the ledger
    assert explain(source_of(story), refused[:13] if shorten else refused).id == CHESS_ID


@pytest.mark.parametrize("name", ["two-step", "self-instruct"])
def test_prompts_are_those_that_were_asked_in_the_generation_and_for_the_answer(
    story: AnsweredRun, name: StyleName
) -> None:
    asking = StyleInUse(style=name, asked=3, safety=True)
    listing, answering = style_of(asking, SETTINGS, "kept"), answer_style(asking, SETTINGS)
    raws = {0: "yes", 1: "Class label: Mix."} if name == "self-instruct" else {0: "Mix."}
    asked: list[Request] = []

    async def ask(step: int, request: Request) -> CallAnswered:
        asked.append(request)
        return CallAnswered(
            request_id=ids.request_id(ids.answered_id(BREAD_ID), step),
            attempt=1,
            model="m-1",
            raw=raws.get(step, ""),
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )

    event = story.generations_written()[2]
    seeds = [next(seed for seed in story.pool.active if seed.task.id == id).task for id in event.seed_ids]
    asyncio.run(listing.generate(seeds, ask))
    answers = asyncio.run(answering.answer(BREAD, ask)).answers
    story.change(InstructionsGenerated, 2, style=name, parameters=listing.parameters)
    story.change(InstructionAnswered, 5, style=name, parameters=answering.parameters, answers=tuple(answers.values()))
    found = with_prompts(explain(source_of(story), BREAD_ID))
    assert [as_asked(prompt) for prompt in found.prompts] == [as_request(asked[0])]
    assert [as_asked(prompt) for prompt in found.answer_prompts] == [as_request(request) for request in asked[1:]]
