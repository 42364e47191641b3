"""Parses a generation's instructions from its answers; the same code for the generator and for an audit.

An answer belongs to an instruction by its step (`streams.core.steps`). An instruction whose answer is missing, because
its request failed permanently, has an empty output, which the rule `empty_output` rejects. Unparsed text, and items
beyond the limit, are returned as `Unparsed`, those of the list first.

The parser has versions, so that a log is always parsed as it was when it was written:

    1   the raw answer; truncated if the finish reason is `length`
    2   the answer without reasoning and template tokens, with labels and lists in all the forms that models use;
        truncated by any finish reason but the known ones (`streams.core.parse.answer_text`)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from schemas import ids
from schemas.events import CallAnswered, Instruction, InstructionsGenerated, Unparsed
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.answer_text import REFUSED, read_text
from streams.core.parse.layout import plain_fields, plain_layout
from streams.core.parse.leftover import Items
from streams.core.parse.lists import parse_items, parse_list
from streams.core.parse.no_input import without_marked_input
from streams.core.parse.segment_answers import AnswerSeen, SegmentAnswers, SegmentForm, read_segment
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
from streams.core.steps import DOCUMENTS, rewrite_step, steps_of

Parser = Literal["strict", "faithful"]
READING = 2
"""The parser version of new generations and judgements."""

MOST_CANDIDATES = 1_000
"""For one segment."""


@dataclass(frozen=True)
class AnswerForm:
    """How to parse a generation's answers.

    structured   the answer is JSON (`alpaca` only)
    most         maximum items of a list (not `alpaca`)
    shown        tasks shown in the prompt; the answer's first number is one more
    reading      the parser version
    segment      of `documents`: the candidates that were asked for, and their output
    """

    style: str
    parser: Parser
    shown: int
    structured: bool = False
    most: int | None = None
    reading: int = READING
    segment: SegmentForm | None = None


class ParsedAnswers(NamedTuple):
    """The parsed answers of a generation. `cut`: places of the instructions whose output was truncated."""

    instructions: tuple[Instruction, ...]
    unparsed: tuple[Unparsed, ...]
    cut: tuple[int, ...] = ()


def form_of(event: InstructionsGenerated) -> AnswerForm:
    """The form of a recorded generation."""
    most = event.parameters.get("most")
    return AnswerForm(
        style=event.style,
        parser=event.parser,
        shown=len(event.seed_ids) + (0 if event.kept_shown is None else len(event.kept_shown.ids)),
        structured=event.parameters.get("api") == "structured",
        most=most if isinstance(most, int) else None,
        reading=event.reading,
        segment=_segment_form(event),
    )


def _segment_form(event: InstructionsGenerated) -> SegmentForm | None:
    if event.style != DOCUMENTS:
        return None
    candidates, rewritten = event.parameters.get("candidates"), event.parameters.get("rewritten")
    return SegmentForm(
        candidates=candidates if isinstance(candidates, int) and 0 < candidates <= MOST_CANDIDATES else 0,
        output="" if event.segment is None else event.segment.text,
        rewritten=rewritten if isinstance(rewritten, int) else None,
    )


def by_step(event: InstructionsGenerated) -> dict[int, CallAnswered]:
    """The answers of an event by step, without those to requests that its generation does not make."""
    form = _segment_form(event)
    if form is not None:
        steps = [*range(rewrite_step(form.candidates) + 1)]
    else:
        steps = [0, *(step for place in range(len(event.instructions)) for step in steps_of(event.style, place))]
    return answers_at(ids.generation_id(event.lane, event.number), steps, event.answers)


def answers_at(asked: str, steps: Iterable[int], answers: Iterable[CallAnswered]) -> dict[int, CallAnswered]:
    """The answers by the step of their request; `asked`: the id that the requests are named by."""
    found = {answer.request_id: answer for answer in answers}
    placed = ((step, found.get(ids.request_id(asked, step))) for step in steps)
    return {step: answer for step, answer in placed if answer is not None}


def says_yes(answer: CallAnswered, reading: int = READING) -> bool | None:
    """Whether an answer is yes; None when it is neither yes nor no."""
    return parse_is_classification(_stripped(reading, answer).text)


def items_of(form: AnswerForm, listed: CallAnswered) -> Items:
    """The instructions of a list up to the limit, and the unparsed rest. Not for `alpaca`."""
    seen = _stripped(form.reading, listed)
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
    """The instructions and the unparsed text of answers by step; step 0 must be among them, but for `documents`."""
    if form.style == DOCUMENTS:
        return ParsedAnswers(*read_candidates(form, answers)[:3])
    if form.style == "alpaca":
        return _tasks(form, answers[0])
    items, unparsed = items_of(form, answers[0])
    found = [
        read_one(form, item, [answers.get(step) for step in steps_of(form.style, at)]) for at, item in enumerate(items)
    ]
    return ParsedAnswers(
        tuple(each.instruction for each in found),
        (*unparsed, *(part for each in found for part in each.unparsed)),
        tuple(place for place, each in enumerate(found) if each.cut),
    )


def read_one(form: AnswerForm, item: str, answers: Sequence[CallAnswered | None]) -> "OneAnswered":
    """One instruction of a list with its answers, in the order of its steps; None for one that is missing."""
    return _answered(form, item, answers) if form.style == "two-step" else _instance(form, item, answers)


def read_candidates(form: AnswerForm, answers: Mapping[int, CallAnswered]) -> SegmentAnswers:
    """Of `documents`: what `read` returns, with the scores, and the steps that the instructions were read from."""
    if form.segment is None:
        raise ValueError(f"the style {form.style!r} has no candidates; read it with `read`")
    return read_segment(form.segment, answers, partial(_stripped, form.reading))


def _stripped(reading: int, answer: CallAnswered) -> AnswerSeen:
    """The text of an answer to parse."""
    if reading > 1 and answer.finish_reason == REFUSED:
        return AnswerSeen("", False, (Unparsed(reason="refused", text=answer.raw.strip()),))
    seen, cut = read_text(answer, reading)
    return AnswerSeen(seen.text, cut, seen.removed)


def _tasks(form: AnswerForm, listed: CallAnswered) -> ParsedAnswers:
    seen = _stripped(form.reading, listed)
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


class OneAnswered(NamedTuple):
    """The parsed answers of one instruction. `cut`: its output was truncated."""

    instruction: Instruction
    unparsed: tuple[Unparsed, ...] = ()
    cut: bool = False


def _answered(form: AnswerForm, item: str, answers: Sequence[CallAnswered | None]) -> OneAnswered:
    (answer,) = answers
    if answer is None:
        return OneAnswered(Instruction(instruction=item))
    seen = _stripped(form.reading, answer)
    cut = seen.cut and form.reading > 1
    return OneAnswered(Instruction(instruction=item, output=seen.text.strip()), seen.removed, cut)


def _instance(form: AnswerForm, item: str, answers: Sequence[CallAnswered | None]) -> OneAnswered:
    kind, made = answers
    unparsed: tuple[Unparsed, ...] = ()
    is_classification = None
    if kind is not None:
        answered = _stripped(form.reading, kind)
        is_classification = parse_is_classification(answered.text)
        unparsed = answered.removed
        if is_classification is None and answered.text.strip():
            unparsed += (Unparsed(reason="neither_yes_nor_no", text=answered.text.strip()),)
    if made is None:
        return OneAnswered(Instruction(instruction=item), unparsed)
    seen = _stripped(form.reading, made)
    text = seen.text if form.reading == 1 else plain_fields(seen.text)
    parse = parse_output_first if is_classification else parse_input_first
    instances, left = parse(text, cut=seen.cut)
    taken = chosen(instances, item, is_classification is True)
    one = Instance("", "") if taken is None else instances[taken]
    task = Instruction(instruction=item, input=one.input, output=one.output)
    return OneAnswered(
        task if form.reading == 1 else without_marked_input(task),
        (*unparsed, *seen.removed, *left, *further(instances, taken)),
        form.reading > 1 and seen.cut and taken is None,
    )
