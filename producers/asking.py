"""How a generator asks: the style with its settings, and the prompts that go with it."""

from dataclasses import dataclass, field
from typing import Literal

from infra.settings import Settings
from producers.backends.base import Message, Request, Sampling
from producers.styles import Alpaca, Parser, Style, TwoStep, sampling_parameters


@dataclass(frozen=True)
class Asking:
    """What is asked for.

    parser   of the `alpaca` style
    most     instructions taken from one list of the `two-step` style
    """

    style: Literal["alpaca", "two-step"] = "alpaca"
    parser: Parser = "strict"
    sampling: Sampling = field(default_factory=Sampling)
    most: int = 8


def style_of(asking: Asking, settings: Settings) -> Style:
    told = {"api": settings.api, **sampling_parameters(asking.sampling)}

    def provisional(text: str) -> Request:
        return Request(messages=(Message("user", text),), sampling=asking.sampling)

    if asking.style == "alpaca":
        return Alpaca(
            build=lambda seeds: provisional("\n".join(seed.instruction for seed in seeds)),
            parser=asking.parser,
            structured=settings.api == "structured",
            told=told,
        )
    return TwoStep(
        build_list=lambda seeds: provisional("\n".join(seed.instruction for seed in seeds)),
        build_answer=provisional,
        most=asking.most,
        told=told,
    )
