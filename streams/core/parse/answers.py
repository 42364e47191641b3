"""A generation's instructions, read from its answers: one reading for who makes a generation and for who checks one.

Which answer is about which instruction is told by its step (`streams.core.steps`). An instruction whose answer is
missing, because asking for it failed for good, has an empty output, which the rule `empty_output` rejects with its
reason. What could not be read, and items beyond those taken, come back as `Unparsed`; the list's own come first.

Readings have versions, so that a log is read for ever as it was when it was written:

    1   the raw answer, parsed; cut when it says `length`
    2   the answer without reasoning and template marks, with labels and lists in every dress that models give them;
        cut when it ended from outside (`streams.core.parse.answer_text`)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas import ids
from schemas.events import CallAnswered, Instruction, InstructionsGenerated, Unparsed
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.answer_text import REFUSED, read_text
from streams.core.parse.layout import plain_fields, plain_layout
from streams.core.parse.leftover import Items
from streams.core.parse.lists import parse_items, parse_list
from streams.core.parse.no_input import without_marked_input
from streams.core.parse.self_instruct import (
    Instance,
    chosen,
    further,
    parse_bootstrap,
    parse_input_first,
    parse_is_classification,
    parse_output_first,
)
from streams.core.parse.structured import parse_json, parse_structured
from streams.core.steps import steps_of

Parser = Literal["strict", "faithful"]
READING = 2
"""The version of the reading that new generations and judgements are made with."""


@dataclass(frozen=True)
class AnswerForm:
    """How a generation's answers are to be read.

    structured   the answer is JSON (`alpaca` only)
    most         items taken of a list (not `alpaca`)
    shown        tasks shown in the prompt; the answer's first number is one more
    reading      its version
    """

    style: str
    parser: Parser
    shown: int
    structured: bool = False
    most: int | None = None
    reading: int = READING


class ParsedAnswers(NamedTuple):
    """What was read of a generation's answers. `cut`: places of the instructions whose output ended from outside."""

    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cut: tuple[int, ...] = ()


class _Answer(NamedTuple):
    """An answer as it is parsed, and what of it is not the answer."""

    text: str
    cut: bool
    removed: tuple[Unparsed, ...] = ()


def form_of(event: InstructionsGenerated) -> AnswerForm:
    """The form that a generation's event tells."""
    most = event.parameters.get("most")
    return AnswerForm(
        style=event.style,
        parser=event.parser,
        shown=len(event.seed_ids) + (0 if event.kept_shown is None else len(event.kept_shown.ids)),
        structured=event.parameters.get("api") == "structured",
        most=most if isinstance(most, int) else None,
        reading=event.reading,
    )


def by_step(event: InstructionsGenerated) -> dict[int, CallAnswered]:
    """The answers of an event by their step; one to a request that its generation does not make is left out."""
    generation = ids.generation_id(event.lane, event.number)
    found = {answer.request_id: answer for answer in event.answers}
    steps = [0, *(step for place in range(len(event.instructions)) for step in steps_of(event.style, place))]
    placed = ((step, found.get(ids.request_id(generation, step))) for step in steps)
    return {step: answer for step, answer in placed if answer is not None}


def says_yes(answer: CallAnswered, reading: int = READING) -> bool | None:
    """Whether an answer is yes; None when it is neither yes nor no."""
    return parse_is_classification(_seen(reading, answer).text)


def items_of(form: AnswerForm, listed: CallAnswered) -> Items:
    """The instructions of a list that are taken, and what is left of the answer. Not for `alpaca`."""
    seen = _seen(form.reading, listed)
    first = form.shown + 1
    if form.style == "self-instruct" and (form.reading == 1 or form.parser == "faithful"):
        items, unparsed = parse_bootstrap(seen.text, parser=form.parser, first_number=first, cut=seen.cut)
    else:
        parse = parse_list if form.reading == 1 else parse_items
        items, unparsed = parse(seen.text, first_number=first, cut=seen.cut)
    unparsed = seen.removed + unparsed
    if form.most is None:
        return items, unparsed
    over = tuple(Unparsed(reason="over_the_limit", text=item) for item in items[form.most :])
    return items[: form.most], unparsed + over


def read(form: AnswerForm, answers: Mapping[int, CallAnswered]) -> ParsedAnswers:
    """The instructions and what was left over, of answers by their step; step 0 must be among them."""
    if form.style == "alpaca":
        return _tasks(form, answers[0])
    items, unparsed = items_of(form, answers[0])
    one = _answered if form.style == "two-step" else _instance
    found = [one(form, item, [answers.get(step) for step in steps_of(form.style, at)]) for at, item in enumerate(items)]
    return ParsedAnswers(
        tuple(each.instruction for each in found),
        (*unparsed, *(part for each in found for part in each.unparsed)),
        tuple(place for place, each in enumerate(found) if each.cut),
    )


def _seen(reading: int, answer: CallAnswered) -> _Answer:
    """What a parser is given of an answer."""
    if reading > 1 and answer.finish_reason == REFUSED:
        return _Answer("", False, (Unparsed(reason="refused", text=answer.raw.strip()),))
    seen, cut = read_text(answer, reading)
    return _Answer(seen.text, cut, seen.removed)


def _tasks(form: AnswerForm, listed: CallAnswered) -> ParsedAnswers:
    seen = _seen(form.reading, listed)
    text, removed = seen.text, seen.removed
    if form.structured:
        parse = parse_structured if form.reading == 1 else parse_json
        instructions, unparsed = parse(text, cut=seen.cut)
    else:
        if form.reading > 1 and form.parser == "strict":
            text, remarks = plain_layout(text)
            removed += remarks
        instructions, unparsed = parse_alpaca(text, parser=form.parser, first_number=form.shown + 1, cut=seen.cut)
        if form.reading > 1:
            instructions = tuple(map(without_marked_input, instructions))
    return ParsedAnswers(instructions, removed + unparsed)


class _One(NamedTuple):
    """What was read of one instruction's own answers."""

    instruction: Instruction
    unparsed: tuple[Unparsed, ...] = ()
    cut: bool = False


def _answered(form: AnswerForm, item: str, answers: list[CallAnswered | None]) -> _One:
    (answer,) = answers
    if answer is None:
        return _One(Instruction(instruction=item))
    seen = _seen(form.reading, answer)
    cut = seen.cut and form.reading > 1
    return _One(Instruction(instruction=item, output=seen.text.strip()), seen.removed, cut)


def _instance(form: AnswerForm, item: str, answers: list[CallAnswered | None]) -> _One:
    kind, made = answers
    unparsed: tuple[Unparsed, ...] = ()
    is_classification = None
    if kind is not None:
        said = _seen(form.reading, kind)
        is_classification = parse_is_classification(said.text)
        unparsed = said.removed
        if is_classification is None and said.text.strip():
            unparsed += (Unparsed(reason="neither_yes_nor_no", text=said.text.strip()),)
    if made is None:
        return _One(Instruction(instruction=item), unparsed)
    seen = _seen(form.reading, made)
    text = seen.text if form.reading == 1 else plain_fields(seen.text)
    parse = parse_output_first if is_classification else parse_input_first
    instances, left = parse(text, cut=seen.cut)
    taken = chosen(instances, item, is_classification is True)
    one = Instance("", "") if taken is None else instances[taken]
    task = Instruction(instruction=item, input=one.input, output=one.output)
    return _One(
        task if form.reading == 1 else without_marked_input(task),
        (*unparsed, *seen.removed, *left, *further(instances, taken)),
        form.reading > 1 and seen.cut and taken is None,
    )
