"""The prompts of a generation, built again from what the log holds of it: its style, parameters and seeds.

They are what this version of the program asks with these. Another version may have worded them otherwise, which the log
does not tell; what it does tell, and this program does not know, is a reason not to rebuild them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumers.explain.schema import Explanation, GenerationStory, PromptMessage, RebuiltPrompt
from producers.backends.base import Request, Sampling
from producers.prompts import alpaca, self_instruct, two_step
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask
from streams.core.steps import place_of, steps_of

_SAMPLING = tuple(Sampling.__dataclass_fields__)


def with_prompts(found: Explanation) -> Explanation:
    """The explanation with the prompts of the requests it tells of."""
    if found.instruction is not None:
        generation, place = found.instruction.generation, found.instruction.place
        steps = {0: ""} | dict.fromkeys(steps_of(generation.style, place), found.instruction.instruction)
    elif found.made is not None and found.made.generation is not None:
        generation = found.made.generation
        steps = {0: ""}
        for brief in found.made.instructions:
            steps |= dict.fromkeys(steps_of(generation.style, brief.place), brief.instruction)
        if found.made.step is not None:
            steps = {step: text for step, text in steps.items() if step == found.made.step}
    else:
        return found
    return msgspec.structs.replace(found, prompts=rebuilt(generation, steps))


def rebuilt(generation: GenerationStory, steps: Mapping[int, str]) -> tuple[RebuiltPrompt, ...]:
    """The prompt of each step; of steps from 1 on the text is the instruction that the step is about."""
    made = []
    for step, text in steps.items():
        try:
            request = _request(generation, step, text)
        except (msgspec.ValidationError, ConfigurationError, _NotFaithful) as error:
            made.append(RebuiltPrompt(step=step, messages=None, reason=str(error)))
            continue
        turns = [PromptMessage(role=message.role, content=message.content) for message in request.messages]
        if request.prompt is not None:
            turns = [PromptMessage(role=None, content=request.prompt)]
        schema = None if request.json_schema is None else dict(request.json_schema)
        made.append(RebuiltPrompt(step=step, messages=tuple(turns), stop=request.stop, json_schema=schema))
    return tuple(made)


class _NotFaithful(Exception):
    """What the log holds of a generation is not enough, or more than this program understands."""


def _request(generation: GenerationStory, step: int, text: str) -> Request:
    parameters = dict(generation.parameters)
    match generation.style:
        case "alpaca":
            told = _told(parameters, {"api": alpaca.Form, "total": int, "safety": bool}, ("",))
            return alpaca.request(
                _seeds(generation),
                told["api"],
                parser=msgspec.convert(generation.parser, Any),
                total=told["total"],
                sampling=_sampling(parameters, ""),
                safety=told["safety"],
            )
        case "two-step":
            fields = {"list_api": two_step.Form, "answer_api": two_step.Form, "asked": int, "most": int, "safety": bool}
            told = _told(parameters, fields, ("list_", "answer_"))
            if step:
                sampling = _sampling(parameters, "answer_")
                return two_step.answer_request(text, told["answer_api"], sampling=sampling, safety=told["safety"])
            return two_step.list_request(
                _seeds(generation),
                told["list_api"],
                asked=told["asked"],
                sampling=_sampling(parameters, "list_"),
                safety=told["safety"],
            )
        case "self-instruct":
            return _self_instruct_request(generation, step, text)
        case other:
            raise _NotFaithful(f"this program has no prompts of the style {other!r}")


def _self_instruct_request(generation: GenerationStory, step: int, text: str) -> Request:
    parameters = dict(generation.parameters)
    fields = {"api": self_instruct.Form, "asked": int, "most": int, "safety": bool}
    told = _told(parameters, fields, ("bootstrap_", "classification_", "instance_"))
    form, safety = told["api"], told["safety"]
    place = place_of(generation.style, step)
    if place is None:
        sampling = _sampling(parameters, "bootstrap_")
        return self_instruct.bootstrap_request(
            _instructions(generation), form, asked=told["asked"], sampling=sampling, safety=safety
        )
    if step == steps_of(generation.style, place)[0]:
        sampling = _sampling(parameters, "classification_")
        return self_instruct.classification_request(text, form, sampling=sampling, safety=safety)
    if place not in generation.classification:
        raise _NotFaithful("whether it is a classification task was never answered, so that no instance was asked for")
    sampling = _sampling(parameters, "instance_")
    return self_instruct.instance_request(
        text, generation.classification[place], form, sampling=sampling, safety=safety
    )


def _instructions(generation: GenerationStory) -> list[str]:
    """The instructions shown: of the seeds, then kept ones."""
    shown = [seed.instruction for seed in _seeds(generation)]
    for kept in generation.kept_shown:
        if kept.instruction is None:
            raise _NotFaithful(f"the instruction {kept.id} that was shown is not on `kept`")
        shown.append(kept.instruction)
    return shown


def _told(parameters: Mapping[str, Any], fields: Mapping[str, Any], prefixes: Sequence[str]) -> dict[str, Any]:
    """The parameters that these fields are, checked."""
    missing = sorted(set(fields) - set(parameters))
    if missing:
        raise _NotFaithful(f"the generation's parameters do not tell {', '.join(missing)}")
    known = set(fields) | {prefix + name for prefix in prefixes for name in _SAMPLING}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise _NotFaithful(f"the generation's parameters tell {', '.join(unknown)}, which this program does not know")
    return {name: msgspec.convert(parameters[name], kind) for name, kind in fields.items()}


def _sampling(parameters: Mapping[str, Any], prefix: str) -> Sampling:
    given = {name: parameters[prefix + name] for name in _SAMPLING if prefix + name in parameters}
    return msgspec.convert(given, Sampling)


def _seeds(generation: GenerationStory) -> list[SeedTask]:
    seeds = []
    for seed in generation.seeds:
        if seed.instruction is None or seed.input is None or seed.output is None:
            raise _NotFaithful(f"the run knows no seed {seed.id}")
        seeds.append(SeedTask(id=seed.id, instruction=seed.instruction, input=seed.input, output=seed.output))
    return seeds
