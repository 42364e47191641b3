"""A generation of Self-Instruct is explained with the kept instructions it showed, and followed from them."""

import asyncio

import msgspec
import pytest

from consumers.explain.story import explain
from consumers.explain.withdraw import withdraw
from infra.settings import Settings
from producers.backends.base import Request
from producers.generate.style_factory import StyleInUse, style_of
from schemas import ids
from schemas.events import CallAnswered, CallStarted, InstructionsGenerated, KeptShown
from sedi.rebuilt_prompts import with_prompts
from streams.core.kept_so_far import KeptText
from tests.unit.consumers.recorded_run import SEEDS, ToldRun, row_id, source_of, whole_run
from tests.unit.consumers.test_explain_prompts import as_asked, as_request

SHOWN = row_id(0, 1)
NUMBER = 4
GENERATION = ids.generation_id("main", NUMBER)
ITEMS = ("Say where swifts sleep.", "Is a swift a bird of the sea?")
RAWS = {
    0: f"3. {ITEMS[0]}\n4. {ITEMS[1]}",
    1: "no",
    2: "Output: In the air.",
    3: "yes",
    4: "Class label: no\nInput: a swift over land",
}
STYLE = style_of(StyleInUse(style="self-instruct", asked=4, safety=True), Settings(backend="openai", api="chat"))


@pytest.fixture
def story() -> ToldRun:
    """A run whose fifth generation is of Self-Instruct: one seed and one kept instruction were shown."""
    story = whole_run()
    before = story.generations_written()[NUMBER]
    text = story.generations_written()[0].instructions[1].instruction
    story.change(
        InstructionsGenerated,
        NUMBER,
        style="self-instruct",
        parameters=STYLE.parameters,
        seed_ids=before.seed_ids[:1],
        kept_shown=KeptShown(as_of=0, ids=(SHOWN,)),
        instructions=tuple(
            msgspec.structs.replace(task, instruction=item)
            for task, item in zip(before.instructions, ITEMS, strict=True)
        ),
        answers=tuple(asked(before, text)[1].values()),
    )
    return story


def asked(event: InstructionsGenerated, text: str) -> tuple[dict[int, Request], dict[int, CallAnswered]]:
    """What the style asks, and the answers it gets."""
    requests: dict[int, Request] = {}
    answers: dict[int, CallAnswered] = {}

    async def ask(step: int, request: Request) -> CallAnswered:
        requests[step] = request
        answers[step] = CallAnswered(
            request_id=ids.request_id(GENERATION, step),
            attempt=1,
            model="m",
            raw=RAWS[step],
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )
        return answers[step]

    seeds = [seed for seed in SEEDS if seed.id == event.seed_ids[0]]
    asyncio.run(STYLE.generate(seeds, ask, (KeptText(SHOWN, text),)))
    return requests, answers


def requests_of(story: ToldRun) -> dict[int, Request]:
    first = story.generations_written()[0].instructions[1].instruction
    return asked(story.generations_written()[NUMBER], first)[0]


def test_all_its_prompts_are_those_that_were_asked(story: ToldRun) -> None:
    prompts = with_prompts(explain(source_of(story), GENERATION)).prompts
    requests = requests_of(story)
    assert [prompt.step for prompt in prompts] == [0, 1, 2, 3, 4]
    assert [as_asked(prompt) for prompt in prompts] == [as_request(requests[step]) for step in range(5)]


def test_an_instruction_has_the_prompts_that_are_about_it_and_the_answers_it_was_read_from(story: ToldRun) -> None:
    found = explain(source_of(story), row_id(NUMBER, 1))
    assert [prompt.step for prompt in with_prompts(found).prompts] == [0, 3, 4]
    assert found.instruction is not None
    assert [(answer.holds, answer.raw) for answer in found.instruction.answers] == [
        ("instruction", RAWS[0]),
        ("output", RAWS[4]),
    ]
    assert found.instruction.generation.classification == {0: False, 1: True}


def test_the_sample_of_seeds_is_checked_without_the_places_that_kept_instructions_took(story: ToldRun) -> None:
    generation = explain(source_of(story), GENERATION).made
    assert generation is not None
    assert generation.generation is not None
    assert generation.generation.sampled_as_told
    assert [shown.id for shown in generation.generation.kept_shown] == [SHOWN]


def test_a_prompt_with_an_instruction_that_is_not_on_the_log_is_not_rebuilt(story: ToldRun) -> None:
    story.change(InstructionsGenerated, NUMBER, kept_shown=KeptShown(as_of=0, ids=("stranger",)))
    first, *others = with_prompts(explain(source_of(story), GENERATION)).prompts
    assert first.messages is None
    assert "stranger" in str(first.reason)
    assert all(prompt.messages is not None for prompt in others)


def test_an_instance_that_was_never_asked_for_has_no_prompt(story: ToldRun) -> None:
    answers = story.generations_written()[NUMBER].answers
    story.change(InstructionsGenerated, NUMBER, answers=answers[:3])
    prompts = with_prompts(explain(source_of(story), GENERATION)).prompts
    assert [prompt.messages is None for prompt in prompts] == [False, False, False, False, True]
    assert "never answered" in str(prompts[4].reason)


def test_what_was_generated_from_a_kept_instruction_comes_from_it(story: ToldRun) -> None:
    plain = withdraw(source_of(whole_run()), id=SHOWN)
    found = withdraw(source_of(story), id=SHOWN)
    assert GENERATION not in {generation.id for generation in plain.generations}
    (way,) = [generation.path for generation in found.generations if generation.id == GENERATION]
    assert [(link.kind, link.id) for link in way][-1] == ("instruction", SHOWN)


def test_a_request_for_instances_gave_one_instruction_its_output(story: ToldRun) -> None:
    for step, place in ((1, 0), (2, 0), (3, 1), (4, 1)):
        request = ids.request_id(GENERATION, step)
        started = CallStarted(
            request_id=request,
            attempt=1,
            generation_id=GENERATION,
            lane="main",
            number=NUMBER,
            step=step,
            backend="recorded",
            model="m",
        )
        story.tell(started, id=ids.child(request, "started/1"), key=request)
        found = withdraw(source_of(story), id=request)
        assert found.totals.instructions == 1
        assert {row.id for row in found.rows} <= {row_id(NUMBER, place)}
