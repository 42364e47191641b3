"""The prompt is what the producer asks with the same settings, or it is not told at all."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from consumers.explain.schema.explanation import RebuiltPrompt
from consumers.explain.story import explain
from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.styles import Style
from producers.prompts import candidates
from schemas import ids
from schemas.events import CallAnswered, InstructionsGenerated
from schemas.seeds import SeedTask
from sedi.rebuilt_prompts import with_prompts
from tests.unit.consumers.document_run import DocumentRun
from tests.unit.consumers.recorded_run import SEEDS, ToldRun, row_id, source_of, whole_run

LIST = "3. Name two birds of the sea.\n4. Say where swifts sleep."


def asked_of(style: Style, seeds: Sequence[SeedTask]) -> list[Request]:
    """What the style asks."""
    asked: dict[int, Request] = {}

    async def ask(step: int, request: Request) -> CallAnswered:
        asked[step] = request
        return CallAnswered(
            request_id=ids.request_id(ids.generation_id("main", 0), step),
            attempt=1,
            model="m",
            raw=LIST,
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )

    asyncio.run(style.generate(seeds, ask))
    return [asked[step] for step in sorted(asked)]


def prompts(story: ToldRun, id: str) -> tuple[RebuiltPrompt, ...]:
    return with_prompts(explain(source_of(story), id)).prompts


def as_asked(prompt: RebuiltPrompt) -> tuple[object, ...]:
    assert prompt.messages is not None
    return [(m.role, m.content) for m in prompt.messages], prompt.stop, prompt.json_schema


def as_request(request: Request) -> tuple[object, ...]:
    turns = [(None, request.prompt)] if request.prompt is not None else [(m.role, m.content) for m in request.messages]
    return turns, request.stop, None if request.json_schema is None else dict(request.json_schema)


@pytest.mark.parametrize("api", ["chat", "completion", "structured"])
@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_the_prompt_of_the_alpaca_style_is_the_one_that_was_asked(api: str, parser: str) -> None:
    asking = StyleInUse(style="alpaca", parser=parser, total=12, safety=True, sampling=Sampling(temperature=0.3))  # type: ignore[arg-type]
    style = style_of(asking, Settings(api=api, backend="openai"))  # type: ignore[arg-type]
    story = whole_run()
    story.change(InstructionsGenerated, 0, parser=parser, parameters=style.parameters)

    (prompt,) = prompts(story, row_id(0, 0))

    assert [as_asked(prompt)] == [as_request(request) for request in asked_of(style, (SEEDS[1], SEEDS[0]))]
    assert prompt.by == "rebuilt by this program version"


def test_the_prompts_of_both_steps_are_those_that_were_asked() -> None:
    style = style_of(StyleInUse(style="two-step", asked=5), Settings(backend="builtin"))
    listed, first, second = asked_of(style, (SEEDS[1], SEEDS[0]))
    story = whole_run()
    texts = ("Name two birds of the sea.", "Say where swifts sleep.")
    tasks = [
        msgspec.structs.replace(t, instruction=text)
        for t, text in zip(story.generations_written()[0].instructions, texts, strict=True)
    ]
    story.change(InstructionsGenerated, 0, style="two-step", parameters=style.parameters, instructions=tuple(tasks))
    generation = ids.generation_id("main", 0)

    assert [as_asked(p) for p in prompts(story, row_id(0, 1))] == [as_request(listed), as_request(second)]
    assert [as_asked(p) for p in prompts(story, generation)] == [as_request(r) for r in (listed, first, second)]
    assert [as_asked(p) for p in prompts(story, ids.request_id(generation, 0))] == [as_request(listed)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"parameters": {"total": 20, "safety": False}}, "parameters lack api"),
        ({"parameters": {"api": "chat", "total": 20, "safety": False, "tone": 1}}, "hold tone, which this program"),
        ({"parameters": {"api": "fax", "total": 20, "safety": False}}, "Invalid enum value 'fax'"),
        ({"parameters": {"api": "chat", "total": 2, "safety": False}}, "none is left to write"),
        ({"style": "goliath"}, "no prompts of the style 'goliath'"),
        ({"seed_ids": ("stranger", "seed_task_1")}, "the run has no seed stranger"),
    ],
)
def test_a_prompt_that_cannot_be_rebuilt_faithfully_is_none_with_the_reason(
    fields: dict[str, object], reason: str
) -> None:
    story = whole_run()
    story.change(InstructionsGenerated, 0, **fields)

    (prompt,) = prompts(story, row_id(0, 0))

    assert prompt.messages is None
    assert reason in str(prompt.reason)


def test_a_seed_has_no_prompt() -> None:
    assert prompts(whole_run(), "seed_task_2") == ()


def test_the_prompt_of_a_candidate_is_asked_for_its_segment() -> None:
    story = DocumentRun()
    document = story.read("birds.txt", "Swifts sleep on the wing. They land only to nest.")
    kept, lost = story.about(0, document, "Say where swifts sleep.", "Name a bird.", perplexities=(3.0, 5.0))
    sampling = Sampling(temperature=0.5)
    expected = candidates.request(story.documents[document].text, "chat", trained=False, sampling=sampling)

    for id in (kept, lost, ids.generation_id("main", 0)):
        (found,) = prompts(story, id)
        assert as_asked(found) == as_request(expected)
