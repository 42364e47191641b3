"""The prompts of a generation, rebuilt from its style, parameters and seeds on the log.

They are worded by this version of the program; another version may have worded them otherwise. A parameter on the log
that this version does not know is a reason not to rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from consumers.explain.schema.answered import RowAnswerStory
from consumers.explain.schema.explanation import Explanation, PromptMessage, RebuiltPrompt
from consumers.explain.schema.generation import GenerationStory, KeptRowShown
from producers.backends.base import Request, Sampling
from producers.prompts import alpaca, candidates, self_instruct, two_step
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask
from streams.core.steps import DOCUMENTS, answer_steps, asks_apart, place_of, steps_of

_SAMPLING = tuple(Sampling.__dataclass_fields__)
_OF_SEGMENTS = (
    *("candidates", "share", "strategies", "segment_words", "per_document", "overlap", "segments_version", "sentences"),
    *("scorer", "scorer_backend", "score_max_tokens", "score_head", "score_head_margin", "rewrite", "rewritten"),
)
"""Parameters of the style `documents` that are not in a candidate's prompt."""
_NEVER_ANSWERED = "whether it is a classification task was never answered, so no instance was requested"


def with_prompts(found: Explanation) -> Explanation:
    """The explanation with the prompts of its requests; of candidates for a segment the one that they share."""
    if found.instruction is not None:
        generation, place = found.instruction.generation, found.instruction.place
        steps = {0: ""} | dict.fromkeys(_steps_about(generation, place), found.instruction.instruction)
    elif found.made is not None and found.made.generation is not None:
        generation = found.made.generation
        steps = {0: ""}
        for task in found.made.instructions:
            steps |= dict.fromkeys(_steps_about(generation, task.place), task.instruction)
        if found.made.step is not None:
            steps = {step: text for step, text in steps.items() if step == found.made.step}
    else:
        return found
    about = found.instruction or found.made
    if about is not None and about.segment is not None:
        steps = {0: about.segment.text}
    answer_prompts: tuple[RebuiltPrompt, ...] = ()
    if found.instruction is not None and found.instruction.answered is not None:
        answer_prompts = _of_answer(found.instruction.answered, found.instruction.instruction)
    return msgspec.structs.replace(found, prompts=rebuild(generation, steps), answer_prompts=answer_prompts)


def rebuild(generation: GenerationStory, steps: Mapping[int, str]) -> tuple[RebuiltPrompt, ...]:
    """The prompt of each step; steps from 1 on are given with their instruction, and one of candidates with the
    segment."""
    return tuple(_prompt(step, partial(_request, generation, step, text)) for step, text in steps.items())


def _of_answer(story: RowAnswerStory, instruction: str) -> tuple[RebuiltPrompt, ...]:
    """The prompts of the answer to a kept instruction."""
    build = partial(_answer_request, story.style, story.parameters, instruction, story.classification)
    return tuple(_prompt(step, partial(build, step)) for step in range(answer_steps(story.style)))


def _prompt(step: int, build: Callable[[], Request]) -> RebuiltPrompt:
    try:
        request = build()
    except (msgspec.ValidationError, ConfigurationError, _NotFaithful) as error:
        return RebuiltPrompt(step=step, messages=None, reason=str(error))
    turns = [PromptMessage(role=message.role, content=message.content) for message in request.messages]
    if request.prompt is not None:
        turns = [PromptMessage(role=None, content=request.prompt)]
    schema = None if request.json_schema is None else dict(request.json_schema)
    return RebuiltPrompt(step=step, messages=tuple(turns), stop=request.stop, json_schema=schema)


def _lists_only(generation: GenerationStory) -> bool:
    """Whether a generation asked for a list of instructions and for none of their answers."""
    return asks_apart(generation.style) and not any(
        name.startswith(("answer_", "classification_", "instance_")) for name in generation.parameters
    )


def _steps_about(generation: GenerationStory, place: int) -> tuple[int, ...]:
    """The generation's steps about the instruction at a place."""
    return () if _lists_only(generation) else steps_of(generation.style, place)


class _NotFaithful(Exception):
    """The log holds too little of a generation, or more than this program understands."""


def _request(generation: GenerationStory, step: int, text: str) -> Request:
    parameters = dict(generation.parameters)
    match generation.style:
        case "alpaca":
            known = _checked(parameters, {"api": alpaca.Form, "total": int, "safety": bool}, ("",))
            return alpaca.request(
                _seeds(generation),
                known["api"],
                parser=msgspec.convert(generation.parser, Any),
                total=known["total"],
                sampling=_sampling(parameters, ""),
                safety=known["safety"],
                hints=_hints(generation),
            )
        case "two-step":
            fields: dict[str, Any] = {"list_api": two_step.Form, "asked": int, "most": int, "safety": bool}
            if not _lists_only(generation):
                fields["answer_api"] = two_step.Form
            known = _checked(parameters, fields, ("list_", "answer_"))
            if step:
                sampling = _sampling(parameters, "answer_")
                return two_step.answer_request(text, known["answer_api"], sampling=sampling, safety=known["safety"])
            return two_step.list_request(
                [seed.instruction for seed in _seeds(generation)],
                known["list_api"],
                asked=_asked(generation, known),
                sampling=_list_sampling(generation, "list_"),
                safety=known["safety"],
                hints=_hints(generation),
            )
        case "self-instruct":
            return _self_instruct_request(generation, step, text)
        case style if style == DOCUMENTS:
            fields = {"api": candidates.Api, "trained": bool, "safety": bool}
            own = {name: value for name, value in parameters.items() if name not in _OF_SEGMENTS}
            own = {name: value for name, value in own.items() if not name.startswith("rewrite_")}
            known = _checked(own, fields, ("",))
            sampling = _sampling(own, "")
            return candidates.request(
                text, known["api"], trained=known["trained"], sampling=sampling, safety=known["safety"]
            )
        case other:
            raise _NotFaithful(f"this program has no prompts of the style {other!r}")


def _answer_request(
    style: str, parameters: Mapping[str, Any], instruction: str, is_classification: bool | None, step: int
) -> Request:
    """The step-th request for the answer to a kept instruction."""
    if style == "two-step":
        known = _checked(parameters, {"answer_api": two_step.Form, "safety": bool}, ("answer_",))
        sampling = _sampling(parameters, "answer_")
        return two_step.answer_request(instruction, known["answer_api"], sampling=sampling, safety=known["safety"])
    known = _checked(parameters, {"api": self_instruct.Form, "safety": bool}, ("classification_", "instance_"))
    form, safety = known["api"], known["safety"]
    if step == 0:
        sampling = _sampling(parameters, "classification_")
        return self_instruct.classification_request(instruction, form, sampling=sampling, safety=safety)
    if is_classification is None:
        raise _NotFaithful(_NEVER_ANSWERED)
    sampling = _sampling(parameters, "instance_")
    return self_instruct.instance_request(instruction, is_classification, form, sampling=sampling, safety=safety)


def _self_instruct_request(generation: GenerationStory, step: int, text: str) -> Request:
    parameters = dict(generation.parameters)
    fields = {"api": self_instruct.Form, "asked": int, "most": int, "safety": bool}
    known = _checked(parameters, fields, ("bootstrap_", "classification_", "instance_"))
    form, safety = known["api"], known["safety"]
    place = place_of(generation.style, step)
    if place is None:
        return self_instruct.bootstrap_request(
            _instructions(generation),
            form,
            asked=_asked(generation, known),
            sampling=_list_sampling(generation, "bootstrap_"),
            safety=safety,
            hints=_hints(generation),
        )
    if step == steps_of(generation.style, place)[0]:
        sampling = _sampling(parameters, "classification_")
        return self_instruct.classification_request(text, form, sampling=sampling, safety=safety)
    if place not in generation.classification:
        raise _NotFaithful(_NEVER_ANSWERED)
    sampling = _sampling(parameters, "instance_")
    return self_instruct.instance_request(
        text, generation.classification[place], form, sampling=sampling, safety=safety
    )


def _asked(generation: GenerationStory, known: Mapping[str, Any]) -> int:
    """How many instructions the list asked for."""
    steered = None if generation.steering is None else generation.steering.list_length
    return int(known["asked"]) if steered is None else steered


def _list_sampling(generation: GenerationStory, prefix: str) -> Sampling:
    """The sampling parameters of the list."""
    own = _sampling(generation.parameters, prefix)
    steered = None if generation.steering is None else generation.steering.temperature
    return own if steered is None else replace(own, temperature=steered)


def _hints(generation: GenerationStory) -> list[str]:
    """The instructions that the prompt asked not to repeat."""
    return [] if generation.steering is None else _texts(generation.steering.hints)


def _instructions(generation: GenerationStory) -> list[str]:
    """The instructions shown: the seeds', then kept ones."""
    shown = [seed.instruction for seed in _seeds(generation)]
    return shown + _texts(generation.kept_shown)


def _texts(rows: Sequence[KeptRowShown]) -> list[str]:
    missing = [row.id for row in rows if row.instruction is None]
    if missing:
        raise _NotFaithful(f"the instruction {missing[0]} that was shown is not on `kept`")
    return [row.instruction for row in rows if row.instruction is not None]


def _checked(parameters: Mapping[str, Any], fields: Mapping[str, Any], prefixes: Sequence[str]) -> dict[str, Any]:
    """These fields of the parameters, checked and converted."""
    missing = sorted(set(fields) - set(parameters))
    if missing:
        raise _NotFaithful(f"the generation's parameters lack {', '.join(missing)}")
    known = set(fields) | {prefix + name for prefix in prefixes for name in _SAMPLING}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise _NotFaithful(f"the generation's parameters hold {', '.join(unknown)}, which this program does not know")
    return {name: msgspec.convert(parameters[name], kind) for name, kind in fields.items()}


def _sampling(parameters: Mapping[str, Any], prefix: str) -> Sampling:
    given = {name: parameters[prefix + name] for name in _SAMPLING if prefix + name in parameters}
    return msgspec.convert(given, Sampling)


def _seeds(generation: GenerationStory) -> list[SeedTask]:
    seeds = []
    for seed in generation.seeds:
        if seed.instruction is None or seed.input is None or seed.output is None:
            raise _NotFaithful(f"the run has no seed {seed.id}")
        seeds.append(SeedTask(id=seed.id, instruction=seed.instruction, input=seed.input, output=seed.output))
    return seeds
