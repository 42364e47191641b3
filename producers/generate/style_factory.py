"""Makes a prompt style from its name and settings, bound to its prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infra.settings import Settings
from producers.backends.base import Request, Sampling
from producers.backends.choice import asks_builtin
from producers.generate.answer_styles import AnswerStyle, DirectAnswer, InstanceAnswer
from producers.generate.list_style import ListStyle
from producers.generate.styles import AlpacaStyle, Parameters, SeedStyle, SteeredRequest, sampling_parameters
from producers.prompts import alpaca, self_instruct, two_step
from producers.prompts.sampling import overlaid
from schemas.errors import ConfigurationError
from schemas.policy import Answered, Policy
from schemas.seeds import SeedTask
from streams.core.parse.answers import Parser
from streams.core.steering import has_list

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

    def list_size(self, own: int) -> tuple[int, int]:
        """How many instructions a list asks for, and how many of them are used; `own`: the style's number."""
        asked = own if self.asked is None else self.asked
        return asked, asked if self.most is None else self.most


def style_of(options: StyleInUse, settings: Settings, answer: Answered = "all") -> SeedStyle:
    """The style, bound to its prompts; `answer`: the policy's. Raises ConfigurationError if the style does not support
    the API form."""
    if options.style == "alpaca":
        return _alpaca(options, settings)
    answers = answer_style(options, settings) if answer == "all" else None
    return (_two_step if options.style == "two-step" else _self_instruct)(options, settings, answers)


def check_steering(policy: Policy, style: StyleName) -> None:
    """Check that requests of the style can follow what the policy says. Raises ConfigurationError."""
    if policy.adapt and not has_list(style):
        raise ConfigurationError(
            f"adapt is {', '.join(policy.adapt)}, which is about lists of instructions, and the style {style} asks for "
            "whole tasks. Use the style two-step or self-instruct, or leave adapt empty."
        )


def answer_style(options: StyleInUse, settings: Settings) -> AnswerStyle:
    """How an instruction is answered, in a style that asks for it apart. Raises ConfigurationError for another style,
    and if the style does not support the API form."""
    match options.style:
        case "two-step":
            return _direct_answer(options, settings)
        case "self-instruct":
            return _instance_answer(options, settings)
        case _:
            raise ConfigurationError(
                f"The style {options.style} asks for instructions and answers at once, so kept ones are answered. Use "
                "two-step or self-instruct."
            )


def _alpaca(options: StyleInUse, settings: Settings) -> SeedStyle:
    def build(seeds: Sequence[SeedTask], hints: tuple[str, ...]) -> Request:
        return alpaca.request(
            seeds,
            settings.api,
            parser=options.parser,
            total=options.total,
            sampling=options.sampling,
            safety=options.safety,
            hints=hints,
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


def _two_step(options: StyleInUse, settings: Settings, answers: AnswerStyle | None) -> SeedStyle:
    form = _form(options.style, settings, two_step.LIST_FORM)
    asked, most = options.list_size(two_step.ASKED)
    parameters: Parameters = {
        "list_api": form,
        "asked": asked,
        "most": most,
        "safety": options.safety,
        **sampling_parameters(overlaid(two_step.LIST_SAMPLING, options.sampling), "list_"),
        **({} if answers is None else answers.parameters),
    }
    return ListStyle(
        name="two-step",
        build_list=lambda shown, steered: two_step.list_request(
            shown,
            form,
            asked=steered.list_length or asked,
            sampling=_steered_sampling(options.sampling, steered),
            safety=options.safety,
            hints=steered.hints,
        ),
        answers=answers,
        most=most,
        parameters=parameters,
    )


def _direct_answer(options: StyleInUse, settings: Settings) -> DirectAnswer:
    form = _form(options.style, settings, two_step.ANSWER_FORM)
    return DirectAnswer(
        build=lambda instruction: two_step.answer_request(
            instruction, form, sampling=options.answer_sampling, safety=options.safety
        ),
        parameters={
            "answer_api": form,
            "safety": options.safety,
            **sampling_parameters(overlaid(two_step.ANSWER_SAMPLING, options.answer_sampling), "answer_"),
        },
    )


def _self_instruct(options: StyleInUse, settings: Settings, answers: AnswerStyle | None) -> SeedStyle:
    form = _form(options.style, settings, "completion")
    asked, most = options.list_size(self_instruct.ASKED)
    parameters: Parameters = {
        "api": form,
        "asked": asked,
        "most": most,
        "safety": options.safety,
        **sampling_parameters(overlaid(self_instruct.BOOTSTRAP_SAMPLING, options.sampling), "bootstrap_"),
        **({} if answers is None else answers.parameters),
    }
    return ListStyle(
        name="self-instruct",
        build_list=lambda shown, steered: self_instruct.bootstrap_request(
            shown,
            form,
            asked=steered.list_length or asked,
            sampling=_steered_sampling(options.sampling, steered),
            safety=options.safety,
            hints=steered.hints,
        ),
        answers=answers,
        most=most,
        parameters=parameters,
        parser=options.parser,
        shows_kept=True,
    )


def _instance_answer(options: StyleInUse, settings: Settings) -> InstanceAnswer:
    form = _form(options.style, settings, "completion")
    return InstanceAnswer(
        build_classification=lambda instruction: self_instruct.classification_request(
            instruction, form, safety=options.safety
        ),
        build_instance=lambda instruction, is_classification: self_instruct.instance_request(
            instruction, is_classification, form, sampling=options.answer_sampling, safety=options.safety
        ),
        parameters={
            "api": form,
            "safety": options.safety,
            **sampling_parameters(self_instruct.CLASSIFICATION_SAMPLING, "classification_"),
            **sampling_parameters(overlaid(self_instruct.INSTANCE_SAMPLING, options.answer_sampling), "instance_"),
        },
    )


def _steered_sampling(sampling: Sampling | None, steered: SteeredRequest) -> Sampling | None:
    if steered.temperature is None:
        return sampling
    return replace(sampling or Sampling(), temperature=steered.temperature)


def _form(style: StyleName, settings: Settings, of_builtin: two_step.Form) -> two_step.Form:
    """The API form of a request: the one that suits the built-in model, else the endpoint's."""
    if asks_builtin(settings):
        return of_builtin
    if settings.api == "structured":
        raise ConfigurationError(
            f"The {style} style asks for plain text, and SEDI_API is 'structured'. Set it to chat or completion, or "
            "use the alpaca style."
        )
    return settings.api
