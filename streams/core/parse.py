"""Reading instructions out of an LLM's answer.

Three forms: `parse_alpaca` reads a list of tasks with three labelled fields each, `parse_list` a numbered list of
instructions, `parse_structured` JSON. All are pure and total: any text gives a result, and nothing is lost on the
way. What no instruction could be read from comes back as `Unparsed` with a reason; only labels, separators and
`<noinput>` marks are in neither.

`parse_alpaca` has two readings. `faithful` does what Alpaca does, with its known mistakes (see its docstring).
`strict` repairs them. An empty output is an instruction to both: the rule `empty_output` rejects it, with a reason.

Not known here: whether the text after the last task's output is still that output or a closing remark.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from schemas.events import Instruction, Unparsed
from streams.core.parse_strict import NO_INPUT, Parsed, leave, parse_strict

_ITEM = re.compile(r"^[ \t]*\*{0,2}(?P<number>[0-9]{1,4})\s?[.):]\*{0,2}(?:[ \t]+|$)", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)
_MARKS = {"**": "**", '"': '"', "“": "”"}


def parse_alpaca(raw: str, *, parser: Literal["strict", "faithful"], first_number: int, cut: bool) -> Parsed:
    """Read an answer to a prompt that ends at `<first_number>. Instruction:`.

    raw            the answer; it continues the prompt, or starts the list itself as chat models do
    first_number   number of the first task in the answer: one more than the seeds shown
    cut            the answer ended because it was as long as allowed, so that its last task is not whole

    `faithful` splits at every `###`, wants a block's number to be its place and exactly seven parts around the three
    labels; so Markdown headings split tasks, one slip of the numbering loses all that follow, and a task that
    was merged into the one before it becomes part of its output.
    `strict` goes by the labels: a task starts at a line with `<number>. Instruction:`, whatever the number, and only a
    line that is nothing but `###` separates. A missing `Input` label is an empty input.
    """
    return parse_strict(raw, first_number, cut) if parser == "strict" else _faithful(raw, first_number, cut)


# -- faithful ------------------------------------------------------------------------------------------------------


def _faithful(raw: str, first_number: int, cut: bool) -> Parsed:
    prefix = f"{first_number}. Instruction:"
    blocks = (prefix + raw).split("###")
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    for place, block in enumerate(blocks):
        written = block.removeprefix(prefix) if place == 0 else block
        if cut and place == len(blocks) - 1:
            leave(unparsed, "cut", written)
            continue
        parts = re.split(rf"{first_number + place}\.\s+(?:Instruction|Input|Output):", block)
        if len(parts) != 4:
            leave(unparsed, "not_seven_parts", written)
            continue
        leave(unparsed, "before_label", parts[0])
        instruction, given, output = (part.strip() for part in parts[1:])
        instructions.append(
            Instruction(instruction=instruction, input="" if given.lower() == "<noinput>" else given, output=output)
        )
    return tuple(instructions), tuple(unparsed)


# -- a list of instructions ----------------------------------------------------------------------------------------


def parse_list(raw: str, *, first_number: int, cut: bool) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    """Read the items of a numbered list, or of a bulleted one if no line is numbered.

    White space within an item is collapsed and marks around the whole of it (`**`, quotes) are dropped. A single line
    before the first number is an item too when that number is beyond `first_number`: the answer continues a prompt that
    ended at `<first_number>.` Of a `cut` answer the last item is left unparsed.
    """
    matches = list(_ITEM.finditer(raw)) or list(_BULLET.finditer(raw))
    head = raw[: matches[0].start()] if matches else raw
    number = matches[0].groupdict().get("number") if matches else None
    continues = number is not None and int(number) > first_number
    bodies = [raw[match.end() : end] for match, end in zip(matches, _ends(matches, len(raw)), strict=True)]
    return list_items(head, bodies, continues=continues, cut=cut, split=_first_paragraph, marks=_MARKS)


def list_items(
    head: str,
    bodies: Sequence[str],
    *,
    continues: bool,
    cut: bool,
    split: Callable[[str], tuple[str, str]],
    marks: Mapping[str, str],
) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    """The items of a list, and what is left, of the texts before its first mark and after each.

    continues   whether a `head` of a single line is an item too
    split       an item's own text, and what follows it there
    marks       what may stand around the whole of an item, opening and closing, and is dropped
    """
    items: list[str] = []
    unparsed: list[Unparsed] = []
    texts = [(head, continues and len(head.strip().splitlines()) == 1), *((body, True) for body in bodies)]
    for place, (text, is_item) in enumerate(texts):
        if cut and place == len(texts) - 1:
            leave(unparsed, "cut", text)
        elif not is_item:
            leave(unparsed, "no_number", text)
        else:
            first, rest = split(text.strip())
            item = _bare(" ".join(first.split()), marks)
            if item:
                items.append(item)
            leave(unparsed, "no_number", rest)
    return tuple(items), tuple(unparsed)


def _first_paragraph(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n\n")
    return first, rest


def _ends(matches: Sequence[re.Match[str]], last: int) -> list[int]:
    return [*(match.start() for match in matches[1:]), last][: len(matches)]


def _bare(text: str, marks: Mapping[str, str]) -> str:
    for opening, closing in marks.items():
        inside = text[len(opening) : -len(closing)]
        whole = text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing)
        if whole and opening not in inside:
            text = inside.strip()
    return text


# -- structured output ---------------------------------------------------------------------------------------------


def parse_structured(raw: str, *, cut: bool) -> Parsed:
    """Read `{"tasks": [{"instruction", "input", "output"}, ...]}`, or the array alone, also in a Markdown fence.

    Of an answer that breaks off, or is not JSON from some point on, the objects before that point are read.
    """
    decoder = json.JSONDecoder(strict=False)
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    array = re.search(r"\[\s*(?=[{\]])", raw)
    at = array.end() if array else len(raw)
    if array is None:
        leave(unparsed, "cut" if cut else "not_json", raw)
    while at < len(raw):
        gap = re.compile(r"[\s,]*").match(raw, at)
        at = gap.end() if gap else at
        if raw[at : at + 1] != "{":
            break
        try:
            value, end = decoder.raw_decode(raw, at)
        except (ValueError, RecursionError):
            break
        task = _object(value)
        if task is None:
            leave(unparsed, "not_a_task", raw[at:end])
        else:
            instructions.append(task)
        at = end
    rest = raw[at:]
    if array and not re.fullmatch(r"\s*\]\s*\}?\s*(?:```)?\s*", rest):
        leave(unparsed, "cut" if cut else "not_json", rest)
    if array and not re.fullmatch(r"\s*(?:```(?:json)?\s*)?(?:\{\s*\"\w+\"\s*:\s*)?", raw[: array.start()]):
        leave(unparsed, "before_json", raw[: array.start()])
    return tuple(instructions), tuple(unparsed)


def _object(value: dict[str, Any]) -> Instruction | None:
    fields = {name: "" if value.get(name) is None else value[name] for name in ("instruction", "input", "output")}
    if set(value) - set(fields) or not all(isinstance(text, str) for text in fields.values()):
        return None
    if not fields["instruction"].strip():
        return None
    # JSON can escape half a surrogate pair, which no event can hold
    texts = {name: text.strip().encode("utf-8", "replace").decode() for name, text in fields.items()}
    return Instruction(
        instruction=texts["instruction"],
        input="" if NO_INPUT.fullmatch(texts["input"]) else texts["input"],
        output=texts["output"],
    )
