"""A generation is one call for whole tasks, or a list of instructions and an answer to each."""

import asyncio
from collections.abc import Callable

import pytest

from producers.backends.base import CallFailure, EndpointRefused, Message, Request, RequestRefused, Transient
from producers.calls.caller import CallsHalted
from producers.generate.answer_styles import DirectAnswer
from producers.generate.list_style import ListStyle
from producers.generate.styles import AlpacaStyle, SeedStyle, StyleResult
from schemas.events import CallAnswered, Instruction
from tests.unit.producers.memory_log import SEEDS

LIST = "1. Name a city.\n2. Add two numbers.\n3. Name a colour."


def request(text: str) -> Request:
    return Request(messages=(Message("user", text),))


def answered(step: int, raw: str, finish_reason: str = "stop") -> CallAnswered:
    return CallAnswered(
        request_id=f"request {step}",
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def made(style: SeedStyle, *outcomes: str | Exception, finish_reason: str = "stop") -> StyleResult:
    async def ask(step: int, asked: Request) -> CallAnswered:
        await asyncio.sleep(0.001 * (5 - step))  # the last asked answers first
        outcome = outcomes[step]
        if isinstance(outcome, Exception):
            raise outcome
        return answered(step, outcome, finish_reason)

    return asyncio.run(style.generate(SEEDS[:3], ask))


def two_step(most: int = 8, *, answers: bool = True) -> ListStyle:
    return ListStyle(
        name="two-step",
        build_list=lambda *_: request("list"),
        answers=DirectAnswer(request, {}) if answers else None,
        most=most,
        parameters={},
    )


def alpaca(structured: bool = False) -> AlpacaStyle:
    return AlpacaStyle(build=lambda *_: request("tasks"), parser="strict", structured=structured, parameters={})


def test_alpaca_reads_the_tasks_of_one_answer_numbered_after_the_seeds() -> None:
    raw = " Name a city.\n4. Input:\n<noinput>\n4. Output:\nParis."
    generated = made(alpaca(), raw)
    assert generated.instructions == (Instruction(instruction="Name a city.", output="Paris."),)
    assert [answer.raw for answer in generated.answers] == [raw]


def test_alpaca_leaves_the_last_task_of_a_cut_answer() -> None:
    generated = made(alpaca(), " Name a city.\n4. Output:\nPa", finish_reason="length")
    assert generated.instructions == ()
    assert [block.reason for block in generated.unparsed] == ["cut"]


def test_alpaca_reads_json_when_it_asked_for_it() -> None:
    generated = made(alpaca(structured=True), '{"tasks": [{"instruction": "Sing.", "input": "", "output": "La."}]}')
    assert generated.instructions == (Instruction(instruction="Sing.", output="La."),)


def test_two_step_asks_for_an_answer_to_each_instruction() -> None:
    generated = made(two_step(), LIST, " Paris. ", "4", "Blue.")
    assert [(task.instruction, task.output) for task in generated.instructions] == [
        ("Name a city.", "Paris."),
        ("Add two numbers.", "4"),
        ("Name a colour.", "Blue."),
    ]
    assert [answer.request_id for answer in generated.answers] == [f"request {step}" for step in range(4)]


def test_two_step_takes_no_more_of_a_list_than_allowed_and_keeps_the_rest_on_record() -> None:
    generated = made(two_step(most=1), LIST, "Paris.")
    assert len(generated.instructions) == 1
    assert [(block.reason, block.text) for block in generated.unparsed] == [
        ("over_the_limit", "Add two numbers."),
        ("over_the_limit", "Name a colour."),
    ]


def test_a_list_alone_has_its_instructions_without_outputs_in_one_call() -> None:
    generated = made(two_step(answers=False), LIST)
    assert [task.instruction for task in generated.instructions] == [
        "Name a city.",
        "Add two numbers.",
        "Name a colour.",
    ]
    assert {task.output for task in generated.instructions} == {""}
    assert [answer.request_id for answer in generated.answers] == ["request 0"] and generated.cut == ()


def test_an_empty_list_makes_an_empty_generation() -> None:
    generated = made(two_step(), "I cannot.")
    assert generated.instructions == ()
    assert [block.reason for block in generated.unparsed] == ["no_number"]


@pytest.mark.parametrize("failure", [Transient("slow"), RequestRefused("no", status=400)])
def test_an_instruction_whose_answer_failed_is_kept_with_an_empty_output(failure: CallFailure) -> None:
    generated = made(two_step(), LIST, "Paris.", failure, "Blue.")
    assert [task.output for task in generated.instructions] == ["Paris.", "", "Blue."]
    assert [answer.request_id for answer in generated.answers] == ["request 0", "request 1", "request 3"]


def test_when_every_answer_failed_the_failure_is_raised() -> None:
    with pytest.raises(Transient, match="down"):
        made(two_step(), LIST, *[Transient("down")] * 3)


def test_refusals_of_every_answer_are_about_the_instructions() -> None:
    generated = made(two_step(), LIST, *[RequestRefused("no", status=400)] * 3)
    assert [task.output for task in generated.instructions] == ["", "", ""]


@pytest.mark.parametrize("make", [lambda: CallsHalted("limit"), lambda: EndpointRefused("key", status=401)])
def test_a_halt_leaves_the_generation_unmade_after_all_its_calls_have_ended(make: Callable[[], Exception]) -> None:
    with pytest.raises((CallsHalted, EndpointRefused)):
        made(two_step(), LIST, make(), "4", "Blue.")
