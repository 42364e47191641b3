"""A generation's instructions, read from its answers: one reading for who makes a generation and for who checks one.

Which answer is about which instruction is told by its step (`streams.core.steps`). An instruction whose answer is
missing, because asking for it failed for good, has an empty output, which the rule `empty_output` rejects with its
reason. What could not be read, and items beyond those taken, come back as `Unparsed`; the list's own come first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas import ids
from schemas.events import CallAnswered, Instruction, InstructionsGenerated, Unparsed
from streams.core.parse import parse_alpaca, parse_list, parse_structured
from streams.core.parse_self_instruct import (
    Instance,
    chosen,
    further,
    parse_bootstrap,
    parse_input_first,
    parse_is_classification,
    parse_output_first,
)
from streams.core.parse_strict import Parsed
from streams.core.steps import steps_of

Parser = Literal["strict", "faithful"]


@dataclass(frozen=True)
class Form:
    """How a generation's answers are to be read.

    structured   the answer is JSON (`alpaca` only)
    most         items taken of a list (not `alpaca`)
    shown        tasks shown in the prompt; the answer's first number is one more
    """

    style: str
    parser: Parser
    shown: int
    structured: bool = False
    most: int | None = None


def form_of(event: InstructionsGenerated) -> Form:
    """The form that a generation's event tells."""
    most = event.parameters.get("most")
    return Form(
        style=event.style,
        parser=event.parser,
        shown=len(event.seed_ids) + (0 if event.kept_shown is None else len(event.kept_shown.ids)),
        structured=event.parameters.get("api") == "structured",
        most=most if isinstance(most, int) else None,
    )


def by_step(event: InstructionsGenerated) -> dict[int, CallAnswered]:
    """The answers of an event by their step; one to a request that its generation does not make is left out."""
    generation = ids.generation_id(event.lane, event.number)
    found = {answer.request_id: answer for answer in event.answers}
    steps = [0, *(step for place in range(len(event.instructions)) for step in steps_of(event.style, place))]
    placed = ((step, found.get(ids.request_id(generation, step))) for step in steps)
    return {step: answer for step, answer in placed if answer is not None}


def items_of(form: Form, listed: CallAnswered) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    """The instructions of a list that are taken, and what is left of the answer. Not for `alpaca`."""
    cut = listed.finish_reason == "length"
    if form.style == "self-instruct":
        items, unparsed = parse_bootstrap(listed.raw, parser=form.parser, first_number=form.shown + 1, cut=cut)
    else:
        items, unparsed = parse_list(listed.raw, first_number=form.shown + 1, cut=cut)
    if form.most is None:
        return items, unparsed
    over = tuple(Unparsed(reason="over_the_limit", text=item) for item in items[form.most :])
    return items[: form.most], unparsed + over


def read(form: Form, answers: Mapping[int, CallAnswered]) -> Parsed:
    """The instructions and what was left over, of answers by their step; step 0 must be among them."""
    first = answers[0]
    if form.style == "alpaca":
        cut = first.finish_reason == "length"
        if form.structured:
            return parse_structured(first.raw, cut=cut)
        return parse_alpaca(first.raw, parser=form.parser, first_number=form.shown + 1, cut=cut)
    items, unparsed = items_of(form, first)
    one = _answered if form.style == "two-step" else _instance
    read = [one(item, [answers.get(step) for step in steps_of(form.style, at)]) for at, item in enumerate(items)]
    parts = (part for _, left in read for part in left)
    return tuple(instruction for instruction, _ in read), (*unparsed, *parts)


def _answered(item: str, answers: list[CallAnswered | None]) -> tuple[Instruction, tuple[Unparsed, ...]]:
    (answer,) = answers
    return Instruction(instruction=item, output="" if answer is None else answer.raw.strip()), ()


def _instance(item: str, answers: list[CallAnswered | None]) -> tuple[Instruction, tuple[Unparsed, ...]]:
    kind, made = answers
    unparsed: tuple[Unparsed, ...] = ()
    is_classification = None
    if kind is not None:
        is_classification = parse_is_classification(kind.raw)
        if is_classification is None and kind.raw.strip():
            unparsed = (Unparsed(reason="neither_yes_nor_no", text=kind.raw.strip()),)
    if made is None:
        return Instruction(instruction=item), unparsed
    reading = parse_output_first if is_classification else parse_input_first
    instances, left = reading(made.raw, cut=made.finish_reason == "length")
    taken = chosen(instances, item, is_classification is True)
    one = Instance("", "") if taken is None else instances[taken]
    return Instruction(instruction=item, input=one.input, output=one.output), (
        *unparsed,
        *left,
        *further(instances, taken),
    )
