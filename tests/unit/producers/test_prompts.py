"""Requests are pure functions of the seeds, in the form that the parsers expect."""

import json
from dataclasses import replace

import jsonschema
import pytest

from producers.backends.base import Sampling
from producers.prompts import alpaca, judge, two_step
from producers.prompts.wording import SAFETY, shown_instruction
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept
from schemas.seeds import SeedTask
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.lists import parse_list
from streams.core.parse.structured import parse_structured

SEEDS = (
    SeedTask(id="a", instruction="Name  three\nprimary colours:", output="Red, yellow and blue."),
    SeedTask(id="b", instruction="Is this sentence a question?", input="Who goes there", output="Yes"),
    SeedTask(id="c", instruction="Explain rain to a child.", output="Clouds get heavy and let water fall."),
)
SHOWN = tuple(seed.instruction for seed in SEEDS)


def test_a_shown_instruction_has_its_white_space_collapsed_and_its_colon_stripped() -> None:
    assert shown_instruction(" Translate \n this:: ") == "Translate this"


def test_the_alpaca_prompt_shows_the_seeds_as_the_first_of_twenty_tasks_and_ends_inside_the_fourth() -> None:
    prompt = alpaca.request(SEEDS, "completion").prompt

    assert prompt is not None
    assert prompt.endswith(
        "List of 20 tasks:\n\n"
        "###\n1. Instruction: Name three primary colours\n1. Input:\n<noinput>\n1. Output:\nRed, yellow and blue.\n"
        "###\n2. Instruction: Is this sentence a question?\n2. Input:\nWho goes there\n2. Output:\nYes\n"
        "###\n3. Instruction: Explain rain to a child.\n3. Input:\n<noinput>\n3. Output:\n"
        "Clouds get heavy and let water fall.\n"
        "###\n4. Instruction:"
    )


def test_the_alpaca_prompt_states_nine_requirements() -> None:
    prompt = alpaca.request(SEEDS, "completion").prompt or ""
    requirements = prompt.partition("\n\nList of 20 tasks:")[0].splitlines()

    assert [line.partition(".")[0] for line in requirements if line[:1].isdigit()] == [str(n) for n in range(1, 10)]


@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_both_parsers_read_the_list_that_the_alpaca_prompt_begins(parser: str) -> None:
    prompt = alpaca.request(SEEDS, "completion").prompt or ""
    begun = prompt.partition("###\n1. Instruction:")[2].removesuffix("###\n4. Instruction:")

    read, unparsed = parse_alpaca(begun, parser=parser, first_number=1, cut=False)  # type: ignore[arg-type]

    assert [(task.instruction, task.input, task.output) for task in read] == [
        (shown_instruction(seed.instruction), seed.input, seed.output) for seed in SEEDS
    ]
    assert unparsed == ()


def test_the_alpaca_chat_asks_for_the_list_from_the_first_new_number() -> None:
    request = alpaca.request(SEEDS, "chat")

    assert [message.role for message in request.messages] == ["system", "user"]
    assert "from task 4 to task 20" in request.messages[-1].content
    assert request.prompt is None


def test_the_structured_form_shows_what_its_schema_asks_for() -> None:
    request = alpaca.request(SEEDS, "structured")
    content = request.messages[-1].content
    shown = content[content.index("{") : content.rindex("}") + 1]

    assert request.json_schema is not None
    jsonschema.Draft202012Validator.check_schema(request.json_schema)
    jsonschema.validate(json.loads(shown), request.json_schema)
    assert [task.instruction for task in parse_structured(shown, cut=False)[0]] == [
        shown_instruction(seed.instruction) for seed in SEEDS
    ]
    assert "<noinput>" not in content


def test_the_strict_stop_spares_years_and_the_faithful_one_does_not() -> None:
    answer = "Say what happened in 2020.\n20. Input:\n<noinput>\n20. Output:\nMuch.\n###\n21. Instruction: More"

    assert not any(stop in answer.partition("###")[0] for stop in alpaca.stop_texts("completion", "strict"))
    assert any(stop in answer for stop in alpaca.stop_texts("completion", "strict"))
    assert any(stop in "in 2020." for stop in alpaca.stop_texts("completion", "faithful"))


def test_sampling_is_the_styles_own_but_for_what_is_changed() -> None:
    assert alpaca.request(SEEDS, "chat").sampling == Sampling(temperature=1.0, top_p=1.0, max_tokens=3072)
    changed = alpaca.request(SEEDS, "chat", sampling=Sampling(temperature=0.2, seed=7)).sampling
    assert changed == Sampling(temperature=0.2, top_p=1.0, max_tokens=3072, seed=7)
    assert two_step.answer_request("Sing.", sampling=Sampling(max_tokens=5)).sampling == replace(
        two_step.ANSWER_SAMPLING, max_tokens=5
    )


def test_a_total_that_leaves_no_task_to_write_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 4"):
        alpaca.request(SEEDS, "completion", total=3)


def test_the_list_prompt_ends_at_the_number_of_the_first_new_instruction() -> None:
    request = two_step.list_request(SHOWN, "completion", asked=5)

    assert request.prompt is not None
    assert request.prompt.endswith(
        "1. Name three primary colours\n2. Is this sentence a question?\n3. Explain rain to a child.\n4."
    )
    assert "8 different tasks" in request.prompt
    assert "\n9." in request.stop


def test_what_continues_the_list_prompt_is_read_as_instructions() -> None:
    items, unparsed = parse_list(" Plan a picnic.\n5. Compare cats and dogs.", first_number=4, cut=False)

    assert items == ("Plan a picnic.", "Compare cats and dogs.")
    assert unparsed == ()


def test_the_list_chat_asks_for_the_numbers_after_the_seeds() -> None:
    request = two_step.list_request(SHOWN, "chat", asked=5)

    assert "numbered from 4 to 8" in request.messages[-1].content


@pytest.mark.parametrize(("shown", "asked"), [((), 7), (SHOWN, 0)])
def test_a_list_of_nothing_is_refused(shown: tuple[str, ...], asked: int) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        two_step.list_request(shown, asked=asked)


def test_an_answer_is_asked_for_with_the_instruction_and_briefly() -> None:
    brief = two_step.answer_request("Compare cats and dogs.")

    assert brief.messages[-1].content.startswith("Compare cats and dogs.\nAnswer briefly")
    assert (two_step.answer_request("Compare cats.", "completion").prompt or "").endswith(
        "Task: Compare cats.\nAnswer:"
    )


def test_the_safety_prompt_leads_every_form_when_it_is_asked_for() -> None:
    chats = [
        alpaca.request(SEEDS, "chat", safety=True),
        alpaca.request(SEEDS, "structured", safety=True),
        two_step.list_request(SHOWN, "chat", safety=True),
        two_step.answer_request("Sing.", "chat", safety=True),
    ]
    completions = [
        alpaca.request(SEEDS, "completion", safety=True),
        two_step.list_request(SHOWN, "completion", safety=True),
        two_step.answer_request("Sing.", "completion", safety=True),
    ]

    assert all([m.role for m in chat.messages] == ["system", "user"] for chat in chats)
    assert all(chat.messages[0].content.startswith(SAFETY) for chat in chats)
    assert all((completion.prompt or "").startswith(SAFETY) for completion in completions)
    assert SAFETY not in (alpaca.request(SEEDS, "completion").prompt or "")


def test_equal_seeds_make_equal_requests() -> None:
    assert alpaca.request(SEEDS, "structured") == alpaca.request(SEEDS, "structured")
    assert two_step.list_request(SHOWN) == two_step.list_request(SHOWN)


def test_a_judge_is_shown_the_row_and_asked_for_a_score_first() -> None:
    row = InstructionKept(
        id="r",
        instruction="Name three colours",
        input="",
        output="Red.",
        generation_id="g",
        generated_offset=0,
        place=0,
        cluster=0,
        classifier_offset=0,
    )
    chat = judge.request(row, judge.RUBRICS["accuracy"], completion=False, sampling=Sampling(max_tokens=64))
    assert [message.role for message in chat.messages] == ["system", "user"]
    asked = chat.messages[1].content
    assert "=== Instruction\nName three colours\n=== Input\n<noinput>\n=== Response\nRed.\n=== End\n" in asked
    assert "from 0 to 5, in steps of 0.5" in asked
    assert "score alone on the first line" in asked
    assert (chat.sampling.temperature, chat.sampling.max_tokens) == (0.0, 64)
    helpful = judge.request(row, judge.RUBRICS["helpfulness"], completion=True, sampling=Sampling())
    assert helpful.prompt is not None
    assert "How helpful" in helpful.prompt
    assert helpful.prompt.endswith("=== End\n\nScore, a number alone, and then why:\n")
