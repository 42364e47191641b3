"""A style is bound to its prompts, and its event has all their parameters."""

import asyncio

import pytest

from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.generate.style_factory import StyleInUse, style_of
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered
from tests.unit.producers.memory_log import SEEDS


def requests_of(asking: StyleInUse, settings: Settings, *raws: str) -> list[Request]:
    asked: list[Request] = []

    async def ask(step: int, request: Request) -> CallAnswered:
        asked.append(request)
        return CallAnswered(
            request_id=str(step),
            attempt=1,
            model="m",
            raw=raws[step],
            finish_reason="stop",
            usage=None,
            cost_usd=None,
            latency_s=0.0,
        )

    asyncio.run(style_of(asking, settings).generate(SEEDS[:3], ask))
    return asked


def test_alpaca_tells_its_sampling_and_form() -> None:
    asking = StyleInUse(sampling=Sampling(temperature=0.5))
    style = style_of(asking, Settings(api="completion"))
    assert style.parameters == {
        "api": "completion",
        "total": 20,
        "safety": False,
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 3072,
    }
    (request,) = requests_of(asking, Settings(api="completion"), "")
    assert request.prompt is not None
    assert request.prompt.endswith("4. Instruction:")
    assert request.sampling.temperature == 0.5


def test_only_the_faithful_parser_has_the_answer_end_at_twenty() -> None:
    (faithful,) = requests_of(StyleInUse(parser="faithful"), Settings(api="chat"), "")
    (strict,) = requests_of(StyleInUse(parser="strict"), Settings(api="chat"), "")
    assert "20." in faithful.stop
    assert "20." not in strict.stop


def test_a_structured_request_has_a_schema() -> None:
    (request,) = requests_of(StyleInUse(), Settings(api="structured"), '{"tasks": []}')
    assert request.json_schema is not None


def test_two_step_asks_the_built_in_model_in_the_forms_that_suit_it() -> None:
    listed, answer = requests_of(
        StyleInUse(style="two-step"), Settings(backend="builtin"), " Name a city.\n5. ", "Paris."
    )
    assert listed.prompt is not None
    assert "Name a city." in answer.messages[-1].content


def test_two_step_asks_an_endpoint_in_its_one_form() -> None:
    settings = Settings(backend="openai", api="chat")
    listed, _ = requests_of(StyleInUse(style="two-step"), settings, "4. Name a city.", "Paris.")
    assert listed.messages
    assert style_of(StyleInUse(style="two-step"), settings).parameters["list_api"] == "chat"


def test_two_step_has_no_structured_form() -> None:
    with pytest.raises(ConfigurationError, match="SEDI_API"):
        style_of(StyleInUse(style="two-step"), Settings(backend="openai", api="structured"))


def test_a_style_that_uses_no_instruction_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="most is 0; use 1"):
        StyleInUse(most=0)
