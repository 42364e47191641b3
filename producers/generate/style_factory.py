"""How a generator asks: a style with its settings, bound to the prompts that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.backends.choice import asks_builtin
from producers.generate.self_instruct import SelfInstructStyle
from producers.generate.styles import AlpacaStyle, Parameters, Style, TwoStepStyle, sampling_parameters
from producers.prompts import alpaca, self_instruct, two_step
from producers.prompts.sampling import overlaid
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask
from streams.core.parse.answers import Parser

StyleName = Literal["alpaca", "two-step", "self-instruct"]


def default_style(settings: Settings) -> StyleName:
    """What suits the backend: the built-in model is too small to keep the form of whole tasks."""
    return "two-step" if asks_builtin(settings) else "alpaca"


@dataclass(frozen=True)
class StyleInUse:
    """What is asked for, and how.

    parser            of the `alpaca` style, and of the list in `self-instruct`
    total             tasks in a list of the `alpaca` style, the seeds among them
    asked             instructions that a list of `two-step` or `self-instruct` is to have; None: the style's number
    most              instructions taken from such a list, None: as many as asked; more go on record, unanswered
    safety            put the safety prompt first
    sampling          parameters that differ from the style's own; where it asks for a list, those of the list
    answer_sampling   in `two-step` those of the answers, in `self-instruct` those of the instances
    """

    style: StyleName = "alpaca"
    parser: Parser = "strict"
    total: int = alpaca.TOTAL
    asked: int | None = None
    most: int | None = None
    safety: bool = False
    sampling: Sampling | None = None
    answer_sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise ConfigurationError(f"At most {self.most} instructions of a list are taken; take 1 or more.")


def style_of(asking: StyleInUse, settings: Settings) -> Style:
    """The style, bound to its prompts. Raises ConfigurationError for a form that the style does not have."""
    match asking.style:
        case "alpaca":
            return _alpaca(asking, settings)
        case "two-step":
            return _two_step(asking, settings)
        case "self-instruct":
            return _self_instruct(asking, settings)


def _alpaca(asking: StyleInUse, settings: Settings) -> Style:
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
    return AlpacaStyle(
        build=build, parser=asking.parser, structured=settings.api == "structured", told=told, total=asking.total
    )


def _two_step(asking: StyleInUse, settings: Settings) -> Style:
    list_form, answer_form = _forms(settings)
    wanted = two_step.ASKED if asking.asked is None else asking.asked
    most = wanted if asking.most is None else asking.most

    def build_list(seeds: Sequence[SeedTask]) -> Request:
        return two_step.list_request(seeds, list_form, asked=wanted, sampling=asking.sampling, safety=asking.safety)

    def build_answer(instruction: str) -> Request:
        return two_step.answer_request(instruction, answer_form, sampling=asking.answer_sampling, safety=asking.safety)

    told: Parameters = {
        "list_api": list_form,
        "answer_api": answer_form,
        "asked": wanted,
        "most": most,
        "safety": asking.safety,
        **sampling_parameters(overlaid(two_step.LIST_SAMPLING, asking.sampling), "list_"),
        **sampling_parameters(overlaid(two_step.ANSWER_SAMPLING, asking.answer_sampling), "answer_"),
    }
    return TwoStepStyle(build_list=build_list, build_answer=build_answer, most=most, told=told)


def _self_instruct(asking: StyleInUse, settings: Settings) -> Style:
    form: self_instruct.Form = "completion" if asks_builtin(settings) else _plain(asking.style, settings)
    wanted = self_instruct.ASKED if asking.asked is None else asking.asked
    most = wanted if asking.most is None else asking.most

    def build_bootstrap(instructions: Sequence[str]) -> Request:
        return self_instruct.bootstrap_request(
            instructions, form, asked=wanted, sampling=asking.sampling, safety=asking.safety
        )

    def build_classification(instruction: str) -> Request:
        return self_instruct.classification_request(instruction, form, safety=asking.safety)

    def build_instance(instruction: str, is_classification: bool) -> Request:
        return self_instruct.instance_request(
            instruction, is_classification, form, sampling=asking.answer_sampling, safety=asking.safety
        )

    told: Parameters = {
        "api": form,
        "asked": wanted,
        "most": most,
        "safety": asking.safety,
        **sampling_parameters(overlaid(self_instruct.BOOTSTRAP_SAMPLING, asking.sampling), "bootstrap_"),
        **sampling_parameters(self_instruct.CLASSIFICATION_SAMPLING, "classification_"),
        **sampling_parameters(overlaid(self_instruct.INSTANCE_SAMPLING, asking.answer_sampling), "instance_"),
    }
    return SelfInstructStyle(
        build_bootstrap=build_bootstrap,
        build_classification=build_classification,
        build_instance=build_instance,
        most=most,
        told=told,
        parser=asking.parser,
    )


def _forms(settings: Settings) -> tuple[two_step.Form, two_step.Form]:
    """Forms of the list and of the answers: those that suit the built-in model, else the endpoint's one."""
    if asks_builtin(settings):
        return two_step.LIST_FORM, two_step.ANSWER_FORM
    form = _plain("two-step", settings)
    return form, form


def _plain(style: StyleName, settings: Settings) -> Literal["chat", "completion"]:
    if settings.api == "structured":
        raise ConfigurationError(
            f"The {style} style asks for plain text, and SEDI_API is 'structured'. Set it to chat or completion, or "
            "use the alpaca style."
        )
    return settings.api
