"""Makes a prompt style from its name and settings, bound to its prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.backends.choice import asks_builtin
from producers.generate.self_instruct import SelfInstructStyle
from producers.generate.styles import AlpacaStyle, Parameters, SeedStyle, TwoStepStyle, sampling_parameters
from producers.prompts import alpaca, self_instruct, two_step
from producers.prompts.sampling import overlaid
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask
from streams.core.parse.answers import Parser

StyleName = Literal["alpaca", "two-step", "self-instruct"]


def default_style(settings: Settings) -> StyleName:
    """The style that suits the backend: the built-in model is too small to keep to the form of whole tasks."""
    return "two-step" if asks_builtin(settings) else "alpaca"


@dataclass(frozen=True)
class StyleInUse:
    """A style and its settings.

    parser            of the `alpaca` style, and of the list in `self-instruct`
    total             tasks in a list of the `alpaca` style, the seeds among them
    asked             instructions that a list of `two-step` or `self-instruct` asks for; None: the style's number
    most              instructions used of such a list; None: as many as asked for. Further ones are recorded as
                      unparsed
    safety            whether the safety prompt comes first
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
            raise ConfigurationError(f"most is {self.most}; use 1 instruction of a list or more.")


def style_of(options: StyleInUse, settings: Settings) -> SeedStyle:
    """The style, bound to its prompts. Raises ConfigurationError if the style does not support the API form."""
    match options.style:
        case "alpaca":
            return _alpaca(options, settings)
        case "two-step":
            return _two_step(options, settings)
        case "self-instruct":
            return _self_instruct(options, settings)


def _alpaca(options: StyleInUse, settings: Settings) -> SeedStyle:
    def build(seeds: Sequence[SeedTask]) -> Request:
        return alpaca.request(
            seeds,
            settings.api,
            parser=options.parser,
            total=options.total,
            sampling=options.sampling,
            safety=options.safety,
        )

    parameters: Parameters = {
        "api": settings.api,
        "total": options.total,
        "safety": options.safety,
        **sampling_parameters(overlaid(alpaca.SAMPLING, options.sampling)),
    }
    return AlpacaStyle(
        build=build,
        parser=options.parser,
        structured=settings.api == "structured",
        parameters=parameters,
        total=options.total,
    )


def _two_step(options: StyleInUse, settings: Settings) -> SeedStyle:
    list_form, answer_form = _forms(settings)
    asked = two_step.ASKED if options.asked is None else options.asked
    most = asked if options.most is None else options.most

    def build_list(seeds: Sequence[SeedTask]) -> Request:
        return two_step.list_request(seeds, list_form, asked=asked, sampling=options.sampling, safety=options.safety)

    def build_answer(instruction: str) -> Request:
        return two_step.answer_request(
            instruction, answer_form, sampling=options.answer_sampling, safety=options.safety
        )

    parameters: Parameters = {
        "list_api": list_form,
        "answer_api": answer_form,
        "asked": asked,
        "most": most,
        "safety": options.safety,
        **sampling_parameters(overlaid(two_step.LIST_SAMPLING, options.sampling), "list_"),
        **sampling_parameters(overlaid(two_step.ANSWER_SAMPLING, options.answer_sampling), "answer_"),
    }
    return TwoStepStyle(build_list=build_list, build_answer=build_answer, most=most, parameters=parameters)


def _self_instruct(options: StyleInUse, settings: Settings) -> SeedStyle:
    form: self_instruct.Form = "completion" if asks_builtin(settings) else _plain(options.style, settings)
    asked = self_instruct.ASKED if options.asked is None else options.asked
    most = asked if options.most is None else options.most

    def build_bootstrap(instructions: Sequence[str]) -> Request:
        return self_instruct.bootstrap_request(
            instructions, form, asked=asked, sampling=options.sampling, safety=options.safety
        )

    def build_classification(instruction: str) -> Request:
        return self_instruct.classification_request(instruction, form, safety=options.safety)

    def build_instance(instruction: str, is_classification: bool) -> Request:
        return self_instruct.instance_request(
            instruction, is_classification, form, sampling=options.answer_sampling, safety=options.safety
        )

    parameters: Parameters = {
        "api": form,
        "asked": asked,
        "most": most,
        "safety": options.safety,
        **sampling_parameters(overlaid(self_instruct.BOOTSTRAP_SAMPLING, options.sampling), "bootstrap_"),
        **sampling_parameters(self_instruct.CLASSIFICATION_SAMPLING, "classification_"),
        **sampling_parameters(overlaid(self_instruct.INSTANCE_SAMPLING, options.answer_sampling), "instance_"),
    }
    return SelfInstructStyle(
        build_bootstrap=build_bootstrap,
        build_classification=build_classification,
        build_instance=build_instance,
        most=most,
        parameters=parameters,
        parser=options.parser,
    )


def _forms(settings: Settings) -> tuple[two_step.Form, two_step.Form]:
    """API forms of the list and of the answers: those that suit the built-in model, else the endpoint's."""
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
