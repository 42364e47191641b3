"""How a generator asks: a style with its settings, bound to the prompts that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.prompts import alpaca, two_step
from producers.prompts.sampling import overlaid
from producers.styles import Alpaca, Parameters, Parser, Style, TwoStep, sampling_parameters
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask

StyleName = Literal["alpaca", "two-step"]


def default_style(settings: Settings) -> StyleName:
    """What suits the backend: the built-in model is too small to keep the form of whole tasks."""
    return "two-step" if settings.backend == "builtin" else "alpaca"


@dataclass(frozen=True)
class Asking:
    """What is asked for, and how.

    parser            of the `alpaca` style
    total             tasks in a list of the `alpaca` style, the seeds among them
    asked             instructions that a list of the `two-step` style is to have
    most              instructions taken from such a list, None: as many as asked; more go on record, unanswered
    safety            put the safety prompt first
    sampling          parameters that differ from the style's own; in `two-step` those of the list
    answer_sampling   in `two-step` those of the answers
    """

    style: StyleName = "alpaca"
    parser: Parser = "strict"
    total: int = alpaca.TOTAL
    asked: int = two_step.ASKED
    most: int | None = None
    safety: bool = False
    sampling: Sampling | None = None
    answer_sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise ConfigurationError(f"At most {self.most} instructions of a list are taken; take 1 or more.")


def style_of(asking: Asking, settings: Settings) -> Style:
    """The style, bound to its prompts. Raises ConfigurationError for a form that the style does not have."""
    return _alpaca(asking, settings) if asking.style == "alpaca" else _two_step(asking, settings)


def _alpaca(asking: Asking, settings: Settings) -> Style:
    def build(seeds: Sequence[SeedTask]) -> Request:
        return alpaca.request(
            seeds,
            settings.api,
            parser=asking.parser,
            total=asking.total,
            sampling=asking.sampling,
            safety=asking.safety,
        )

    told: Parameters = {
        "api": settings.api,
        "total": asking.total,
        "safety": asking.safety,
        **sampling_parameters(overlaid(alpaca.SAMPLING, asking.sampling)),
    }
    return Alpaca(build=build, parser=asking.parser, structured=settings.api == "structured", told=told)


def _two_step(asking: Asking, settings: Settings) -> Style:
    list_form, answer_form = _forms(settings)
    most = asking.asked if asking.most is None else asking.most

    def build_list(seeds: Sequence[SeedTask]) -> Request:
        return two_step.list_request(
            seeds, list_form, asked=asking.asked, sampling=asking.sampling, safety=asking.safety
        )

    def build_answer(instruction: str) -> Request:
        return two_step.answer_request(instruction, answer_form, sampling=asking.answer_sampling, safety=asking.safety)

    told: Parameters = {
        "list_api": list_form,
        "answer_api": answer_form,
        "asked": asking.asked,
        "most": most,
        "safety": asking.safety,
        **sampling_parameters(overlaid(two_step.LIST_SAMPLING, asking.sampling), "list_"),
        **sampling_parameters(overlaid(two_step.ANSWER_SAMPLING, asking.answer_sampling), "answer_"),
    }
    return TwoStep(build_list=build_list, build_answer=build_answer, most=most, told=told)


def _forms(settings: Settings) -> tuple[two_step.Form, two_step.Form]:
    """Forms of the list and of the answers: those that suit the built-in model, else the endpoint's one."""
    if settings.backend == "builtin":
        return two_step.LIST_FORM, two_step.ANSWER_FORM
    if settings.api == "structured":
        raise ConfigurationError(
            "The two-step style asks for plain text, and SEDI_API is 'structured'. Set it to chat or completion, or "
            "use the alpaca style."
        )
    return settings.api, settings.api
