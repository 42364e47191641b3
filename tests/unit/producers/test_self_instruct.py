"""A generation of Self-Instruct: a list, then for each instruction whether it is classification, then instances."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.log.record import Record
from infra.settings import Settings
from producers.backends.base import CallFailure, EndpointRefused, Request, RequestRefused, Sampling, Transient
from producers.calls.caller import CallsHalted
from producers.generate.kept_choice import KeptChoice
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.styles import StyleResult
from producers.prompts import self_instruct
from producers.prompts.wording import SAFETY
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, CallStarted, Event, Instruction, InstructionsRejected, KeptShown
from schemas.policy import policy_for
from streams.core.kept_so_far import KeptText
from tests.unit.core.conftest import configured, generation
from tests.unit.producers.memory_log import SEEDS

LIST = "4. Name a city.\n5. Is it warm or cold?\n6. Add the numbers."
WARM = "Class label: warm\nInput: 30 degrees"
SUM = "Example 1\nInput: 2 and 3\nOutput: 5\nExample 2\nInput: 4 and 4\nOutput: 8"
WHOLE: Mapping[int, str | Exception] = {0: LIST, 1: "no", 2: "Output: Paris.", 3: "Yes.", 4: WARM, 5: "no", 6: SUM}
CHAT = Settings(backend="openai", api="chat")
ASKING = StyleInUse(style="self-instruct")


def asked_and_made(
    outcomes: Mapping[int, str | Exception],
    asking: StyleInUse = ASKING,
    kept: tuple[KeptText, ...] = (),
    finish: str = "stop",
) -> tuple[dict[int, Request], StyleResult]:
    asked: dict[int, Request] = {}

    async def ask(step: int, request: Request) -> CallAnswered:
        asked[step] = request
        await asyncio.sleep(0.001 * (7 - step))  # the last asked answers first
        outcome = outcomes[step]
        if isinstance(outcome, Exception):
            raise outcome
        return CallAnswered(
            request_id=f"request {step}",
            attempt=1,
            model="m",
            raw=outcome,
            finish_reason="stop" if step == 0 else finish,
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )

    made = asyncio.run(style_of(asking, CHAT).generate(SEEDS[: 3 - len(kept)], ask, kept))
    return asked, made


def made(outcomes: Mapping[int, str | Exception], **more: Any) -> StyleResult:
    return asked_and_made(outcomes, **more)[1]


# -- the flow --------------------------------------------------------------------------------------------------------


def test_each_instruction_of_the_list_gets_one_instance_and_the_others_stay_on_record() -> None:
    generated = made(WHOLE)
    assert generated.instructions == (
        Instruction(instruction="Name a city.", output="Paris."),
        Instruction(instruction="Is it warm or cold?", input="30 degrees", output="warm"),
        Instruction(instruction="Add the numbers.", input="2 and 3", output="5"),
    )
    assert [(part.reason, part.text) for part in generated.unparsed] == [
        ("further_instance", "Input: 4 and 4\nOutput: 8")
    ]
    assert [answer.request_id for answer in generated.answers] == [f"request {step}" for step in range(7)]


def test_instances_are_asked_for_label_first_where_it_is_a_classification_task() -> None:
    asked, _ = asked_and_made(WHOLE)
    forms = {step: asked[step].messages[-1].content for step in (2, 4, 6)}
    assert ["Class label:" in form for form in forms.values()] == [False, True, False]
    assert "Task: Is it warm or cold?\n" in forms[4]
    assert asked[3].messages[-1].content.endswith("Task: Is it warm or cold?\nAnswer:")


def test_kept_instructions_are_shown_among_the_seeds_and_the_numbers_go_on_after_them() -> None:
    asked, generated = asked_and_made(WHOLE, kept=(KeptText("k", "Whistle a tune:"),))
    shown = asked[0].messages[-1].content
    assert "Whistle a tune\n" in shown
    assert "from 4 to 11" in shown
    assert len(generated.instructions) == 3


def test_an_answer_that_is_neither_yes_nor_no_is_on_record_and_counts_as_no() -> None:
    asked, generated = asked_and_made(WHOLE | {1: "Hard to say"})
    assert "Class label:" not in asked[2].messages[-1].content
    assert generated.unparsed[0].reason == "neither_yes_nor_no"
    assert generated.instructions[0].output == "Paris."


@pytest.mark.parametrize("failure", [Transient("slow"), RequestRefused("no", status=400)])
@pytest.mark.parametrize("step", [3, 4])
def test_an_instruction_one_of_whose_answers_failed_is_there_with_an_empty_output(
    failure: CallFailure, step: int
) -> None:
    asked, generated = asked_and_made(WHOLE | {step: failure})
    assert generated.instructions[1] == Instruction(instruction="Is it warm or cold?")
    assert [task.output for task in generated.instructions] == ["Paris.", "", "5"]
    failed = {3, 4} if step == 3 else {4}
    assert [answer.request_id for answer in generated.answers] == [f"request {n}" for n in range(7) if n not in failed]
    assert (4 in asked) is (step == 4), "without knowing what it is, no instance is asked for"


def test_an_answer_without_an_instance_gives_an_empty_output_and_is_on_record() -> None:
    generated = made(WHOLE | {4: "warm, I think"})
    assert generated.instructions[1] == Instruction(instruction="Is it warm or cold?")
    assert [part.reason for part in generated.unparsed] == ["no_class_label", "further_instance"]


def test_a_cut_answer_loses_its_last_instance() -> None:
    generated = made(WHOLE, finish="length")
    assert [task.output for task in generated.instructions] == ["", "", "5"]
    assert [part.reason for part in generated.unparsed] == ["cut", "cut", "cut"]


def test_no_more_of_a_list_is_taken_than_allowed() -> None:
    asked, generated = asked_and_made(WHOLE, asking=StyleInUse(style="self-instruct", most=1))
    assert sorted(asked) == [0, 1, 2]
    assert [part.reason for part in generated.unparsed] == ["over_the_limit", "over_the_limit"]


def test_when_no_instruction_has_its_answers_a_failure_to_answer_is_raised_and_refusals_are_not() -> None:
    failing = {1: Transient("down"), 3: Transient("down"), 6: Transient("down")}
    with pytest.raises(Transient, match="down"):
        made({**WHOLE, **failing})
    refusing = {step: RequestRefused("no", status=400) for step in failing}
    assert [task.output for task in made({**WHOLE, **refusing}).instructions] == ["", "", ""]


@pytest.mark.parametrize("error", [CallsHalted("limit"), EndpointRefused("key", status=401), RuntimeError("bug")])
def test_what_ends_a_generator_leaves_the_generation_unmade(error: Exception) -> None:
    with pytest.raises(type(error)):
        made({**WHOLE, 4: error})


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_the_list_is_begun_with_the_tasks_in_an_order_of_their_own_and_ends_at_the_next_number() -> None:
    texts = [f"Do  thing {n}:" for n in range(8)]
    request = self_instruct.bootstrap_request(texts, "completion")
    prompt = request.prompt or ""
    lines = prompt.splitlines()[-9:]
    assert prompt.startswith("A series of 16 different tasks:\n\n1. ")
    assert lines[-1] == "9."
    assert sorted(line.partition(". ")[2] for line in lines[:-1]) == [f"Do thing {n}" for n in range(8)]
    assert [line.partition(". ")[2] for line in lines[:-1]] != [f"Do thing {n}" for n in range(8)]
    assert request.stop == ("\n\n", "\n17.")
    assert self_instruct.bootstrap_request(texts, "completion") == request


def test_the_list_is_sampled_as_self_instruct_does_and_the_rest_greedily() -> None:
    assert self_instruct.bootstrap_request(["a"], "chat").sampling == Sampling(
        temperature=0.7, top_p=0.5, max_tokens=1024, presence_penalty=2.0
    )
    assert self_instruct.classification_request("a", "chat").sampling.temperature == 0.0
    changed = self_instruct.instance_request("a", True, "chat", sampling=Sampling(max_tokens=9)).sampling
    assert changed == Sampling(temperature=0.0, max_tokens=9, presence_penalty=1.5)


def test_a_question_shows_worked_ones_of_both_answers_and_ends_at_its_own() -> None:
    prompt = self_instruct.classification_request("Sort the\nmail:", "completion").prompt or ""
    assert prompt.count("Answer: yes") == prompt.count("Answer: no") == 4
    assert prompt.endswith("\n\nTask: Sort the mail\nAnswer:")


def test_instances_are_asked_for_after_worked_ones_of_their_form() -> None:
    first = self_instruct.instance_request("Sing.", False, "completion")
    label = self_instruct.instance_request("Sing.", True, "completion")
    for request in (first, label):
        assert (request.prompt or "").endswith("\n\nTask: Sing.\n")
        assert request.stop == ("\nTask:",)
    assert "Class label:" not in (first.prompt or "")
    assert "Output:" not in (label.prompt or "")


def test_the_safety_prompt_leads_all_three_requests_when_it_is_asked_for() -> None:
    for form in ("chat", "completion"):
        requests = (
            self_instruct.bootstrap_request(["a"], form, safety=True),  # type: ignore[arg-type]
            self_instruct.classification_request("a", form, safety=True),  # type: ignore[arg-type]
            self_instruct.instance_request("a", True, form, safety=True),  # type: ignore[arg-type]
        )
        firsts = [request.prompt or request.messages[0].content for request in requests]
        assert all(first.startswith(SAFETY) for first in firsts)


@pytest.mark.parametrize(("shown", "asked"), [([], 8), (["a"], 0)])
def test_a_list_of_nothing_is_refused(shown: list[str], asked: int) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        self_instruct.bootstrap_request(shown, "chat", asked=asked)


def test_the_style_tells_all_that_was_asked_and_has_no_structured_form() -> None:
    parameters = style_of(StyleInUse(style="self-instruct", asked=5, safety=True), CHAT).parameters
    assert (parameters["api"], parameters["asked"], parameters["most"], parameters["safety"]) == ("chat", 5, 5, True)
    assert {name.split("_")[0] for name in parameters} >= {"bootstrap", "classification", "instance"}
    assert style_of(ASKING, Settings(backend="builtin")).parameters["api"] == "completion"
    with pytest.raises(ConfigurationError, match="self-instruct style asks for plain text"):
        style_of(ASKING, Settings(backend="openai", api="structured"))


# -- which kept instructions are shown -------------------------------------------------------------------------------


def record(event: Event, offset: int = 0, id: str = "") -> Record:
    return cast(Record, SimpleNamespace(event=event, offset=offset, id=id))


def kept(offset: int) -> list[Record]:
    """A generation of another lane, and the verdict that keeps all of it."""
    event = generation(offset, [f"Do thing {offset}-{n}." for n in range(5)])
    verdict = InstructionsRejected(
        generation_id="g", generated_offset=offset, rejections=(), generated=5, kept=5, generated_total=0, kept_total=0
    )
    return [record(event, offset, ids.generation_id("g0", offset)), record(verdict)]


def choice(*records: Record) -> KeptChoice:
    made = KeptChoice(configured(policy_for("self-instruct", seeds_per_request=8)), "main")
    for one in records:
        made.apply(one)
    return made


def begun(number: int, shown: KeptShown | None, step: int = 0, lane: str = "main") -> Record:
    return record(
        CallStarted(
            request_id="r",
            attempt=1,
            generation_id="g",
            lane=lane,
            number=number,
            step=step,
            backend="b",
            model="m",
            kept_shown=shown,
        )
    )


def test_a_generation_is_shown_two_of_all_that_is_kept() -> None:
    shown = choice(*kept(0), *kept(1)).shown(7)
    assert len({one.id for one in shown.kept}) == 2
    assert shown.recorded == KeptShown(as_of=1, ids=tuple(one.id for one in shown.kept))
    assert all(one.instruction.startswith("Do thing") for one in shown.kept)


def test_a_generation_that_was_begun_is_shown_again_what_it_was_shown_then() -> None:
    before = choice(*kept(0)).shown(7)
    more = [one for offset in range(1, 9) for one in kept(offset)]
    assert choice(*kept(0), begun(7, before.recorded), *more).shown(7) == before
    assert choice(*kept(0), begun(7, before.recorded, step=1), *more).shown(7) != before
    assert choice(*kept(0), begun(7, before.recorded, lane="other"), *more).shown(7) != before


def test_a_generation_begun_without_kept_instructions_stays_without() -> None:
    shown = choice(*kept(0), begun(7, None)).shown(7)
    assert (shown.kept, shown.recorded) == ((), None)
