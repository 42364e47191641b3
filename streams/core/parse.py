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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from schemas.events import Instruction, Unparsed

Parsed = tuple[tuple[Instruction, ...], tuple[Unparsed, ...]]

_LABEL = re.compile(
    r"(?<!\w)\*{0,2}(?:(?P<number>[0-9]{1,4})\s?[.)]\s*)?\*{0,2}(?P<name>Instruction|Input|Output)\*{0,2}\s?:(?:\*\*)?"
)
_SEPARATOR = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```.*?^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_NO_INPUT = re.compile(r"<\s?no[\s_-]?input\s?>\.?", re.IGNORECASE)
_ITEM = re.compile(r"^[ \t]*\*{0,2}(?P<number>[0-9]{1,4})\s?[.):]\*{0,2}(?:[ \t]+|$)", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)


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
    return _strict(raw, first_number, cut) if parser == "strict" else _faithful(raw, first_number, cut)


# -- faithful ------------------------------------------------------------------------------------------------------


def _faithful(raw: str, first_number: int, cut: bool) -> Parsed:
    prefix = f"{first_number}. Instruction:"
    blocks = (prefix + raw).split("###")
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    for place, block in enumerate(blocks):
        written = block.removeprefix(prefix) if place == 0 else block
        if cut and place == len(blocks) - 1:
            _leave(unparsed, "cut", written)
            continue
        parts = re.split(rf"{first_number + place}\.\s+(?:Instruction|Input|Output):", block)
        if len(parts) != 4:
            _leave(unparsed, "not_seven_parts", written)
            continue
        _leave(unparsed, "before_label", parts[0])
        instruction, given, output = (part.strip() for part in parts[1:])
        instructions.append(
            Instruction(instruction=instruction, input="" if given.lower() == "<noinput>" else given, output=output)
        )
    return tuple(instructions), tuple(unparsed)


# -- strict --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Label:
    """A field's label: `number` is None when it has none, `own_line` when nothing stands before it on its line."""

    start: int
    end: int
    number: int | None
    name: str
    own_line: bool
    separated: bool


@dataclass(frozen=True)
class _Block:
    """A part of the answer: a task when `number` is not None, from its label's end on."""

    start: int
    end: int
    number: int | None
    closed: bool


def _strict(raw: str, first_number: int, cut: bool) -> Parsed:
    labels = _labels(raw)
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    blocks = _blocks(raw, labels, first_number)
    for block in blocks:
        text = raw[block.start : block.end]
        if cut and block is blocks[-1] and not block.closed:
            _leave(unparsed, "cut", text)
            continue
        inside = [label for label in labels if block.start <= label.start < block.end]
        task = _task(raw, block, inside)
        if isinstance(task, Instruction):
            instructions.append(task)
        else:
            _leave(unparsed, task, text)
    return tuple(instructions), tuple(unparsed)


def _labels(raw: str) -> list[_Label]:
    found = []
    for match in _LABEL.finditer(raw):
        line = raw.rfind("\n", 0, match.start()) + 1
        own_line = not raw[line : match.start()].strip(" \t#>-")
        if match["number"] is None and not own_line:
            continue
        number = None if match["number"] is None else int(match["number"])
        before = raw[max(0, match.start() - 40) : match.start()].rstrip()
        separated = before.endswith("###") or (not before and match.start() <= 40)
        found.append(_Label(match.start(), match.end(), number, match["name"], own_line, separated))
    return found


def _blocks(raw: str, labels: Sequence[_Label], first_number: int) -> list[_Block]:
    """The answer cut at the starts of tasks and at separators; the first may continue the prompt's last label."""
    starts = _task_starts(labels, first_number)
    fences = [span for span in (match.span() for match in _FENCE.finditer(raw)) if not _holds_start(span, starts)]
    cuts: list[tuple[int, int, int | None, bool]] = [
        (label.start, label.end, number, label.separated) for label, number in starts
    ]
    cuts += [
        (match.start(), match.end(), None, True)
        for match in _SEPARATOR.finditer(raw)
        if not any(start < match.start() < end for start, end in fences)
    ]
    blocks = []
    begin = 0
    open_number: int | None = first_number
    for start, end, next_number, separates in [*sorted(cuts), (len(raw), len(raw), None, False)]:
        blocks.append(_Block(begin, start, open_number, separates))
        begin, open_number = end, next_number
    return [block for block in blocks if raw[block.start : block.end].strip() or block.number is not None]


def _holds_start(span: tuple[int, int], starts: Sequence[tuple[_Label, int]]) -> bool:
    return any(span[0] < label.start < span[1] for label, _ in starts)


def _task_starts(labels: Sequence[_Label], first_number: int) -> list[tuple[_Label, int]]:
    """The labels that start a task, with its number; a task without one counts on from the task before."""
    numbered = any(label.name == "Instruction" and label.number is not None for label in labels)
    starts: list[tuple[_Label, int]] = []
    current = first_number
    continues = bool(labels) and labels[0].name != "Instruction"  # the prompt's last label
    for place, label in enumerate(labels):
        if label.name != "Instruction":
            continue
        if label.number is None:
            begins = label.separated or not numbered
        elif label.own_line:
            begins = (
                not (starts or continues)
                or label.separated
                or label.number >= current
                or _whole(labels[place : place + 3])
            )
        else:
            begins = label.separated or label.number == current + 1
        if begins:
            current = (current + 1 if starts or continues else current) if label.number is None else label.number
            starts.append((label, current))
    return starts


def _whole(labels: Sequence[_Label]) -> bool:
    """Whether these three labels are a task of their own: in order, and of one number."""
    return [label.name for label in labels] == ["Instruction", "Input", "Output"] and len(
        {label.number for label in labels}
    ) == 1


def _task(raw: str, block: _Block, labels: Sequence[_Label]) -> Instruction | str:
    """The block's instruction, or the reason why there is none."""
    fields = [label for label in labels if label.name != "Instruction"]
    if block.number is None:
        return "no_instruction_label" if fields else "no_label"
    outputs = _best(fields, "Output", block.number)
    if not outputs:
        return "no_output_label" if fields or block.start > 0 else "no_label"
    output = outputs[0]
    inputs = _best([label for label in fields if label.start < output.start], "Input", block.number)
    own = [label.name for label in fields if label.number == block.number]
    if own not in (["Input", "Output"], ["Output"], ["Input"], []):
        return "misplaced_label"
    given = inputs[0] if inputs else None
    instruction = _trim(raw[block.start : given.start if given else output.start])
    if not instruction:
        return "empty_instruction"
    text = _trim(raw[given.end : output.start]) if given else ""
    return Instruction(
        instruction=instruction,
        input="" if _NO_INPUT.fullmatch(text) else text,
        output=_trim(raw[output.end : block.end]),
    )


def _best(labels: Sequence[_Label], name: str, number: int) -> list[_Label]:
    """The labels of this name that most surely belong to the task: its own number, else any number, else none."""
    named = [label for label in labels if label.name == name]
    for tier in (
        [label for label in named if label.number == number],
        [label for label in named if label.number is not None and label.own_line],
        [label for label in named if label.number is None],
    ):
        if tier:
            return tier
    return []


def _trim(text: str) -> str:
    """Without white space around it and without the separator that follows it."""
    while True:
        text = text.strip()
        rest = text.rstrip("#")
        if len(text) - len(rest) < 3 or (rest and not rest[-1].isspace()):
            return text
        text = rest


def _leave(unparsed: list[Unparsed], reason: str, text: str) -> None:
    if text.strip():
        unparsed.append(Unparsed(reason=reason, text=text.strip()))


# -- a list of instructions ----------------------------------------------------------------------------------------


def parse_list(raw: str, *, cut: bool) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    """Read the items of a numbered list, or of a bulleted one if no line is numbered.

    White space within an item is collapsed and marks around the whole of it (`**`, quotes) are dropped. Text before the
    first item is an item too when it is a single line and the list goes on from 2 or more: the answer continued the
    prompt's own number. Of a `cut` answer the last item is left unparsed.
    """
    matches = list(_ITEM.finditer(raw)) or list(_BULLET.finditer(raw))
    head = raw[: matches[0].start()] if matches else raw
    items: list[str] = []
    unparsed: list[Unparsed] = []
    continues = bool(matches) and matches[0].groupdict().get("number") not in (None, "0", "1")
    texts: list[tuple[str, bool]] = [(head, continues and len(head.strip().splitlines()) == 1)]
    texts += [(raw[match.end() : end], True) for match, end in zip(matches, _ends(matches, len(raw)), strict=True)]
    for place, (text, is_item) in enumerate(texts):
        if cut and place == len(texts) - 1:
            _leave(unparsed, "cut", text)
        elif not is_item:
            _leave(unparsed, "no_number", text)
        else:
            first, _, rest = text.strip().partition("\n\n")
            item = _bare(" ".join(first.split()))
            if item:
                items.append(item)
            _leave(unparsed, "no_number", rest)
    return tuple(items), tuple(unparsed)


def _ends(matches: Sequence[re.Match[str]], last: int) -> list[int]:
    return [*(match.start() for match in matches[1:]), last][: len(matches)]


def _bare(text: str) -> str:
    for mark in ("**", '"', "“"):
        closing = "”" if mark == "“" else mark
        if (
            text.startswith(mark)
            and text.endswith(closing)
            and len(text) > 2 * len(mark)
            and (mark not in text[len(mark) : -len(closing)])
        ):
            text = text[len(mark) : -len(closing)].strip()
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
        _leave(unparsed, "cut" if cut else "not_json", raw)
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
            _leave(unparsed, "not_a_task", raw[at:end])
        else:
            instructions.append(task)
        at = end
    rest = raw[at:]
    if array and not re.fullmatch(r"\s*\]\s*\}?\s*(?:```)?\s*", rest):
        _leave(unparsed, "cut" if cut else "not_json", rest)
    if array and not re.fullmatch(r"\s*(?:```(?:json)?\s*)?(?:\{\s*\"\w+\"\s*:\s*)?", raw[: array.start()]):
        _leave(unparsed, "before_json", raw[: array.start()])
    return tuple(instructions), tuple(unparsed)


def _object(value: dict[str, Any]) -> Instruction | None:
    fields = {name: "" if value.get(name) is None else value[name] for name in ("instruction", "input", "output")}
    if set(value) - set(fields) or not all(isinstance(text, str) for text in fields.values()):
        return None
    if not fields["instruction"].strip():
        return None
    given = fields["input"].strip()
    return Instruction(
        instruction=fields["instruction"].strip(),
        input="" if _NO_INPUT.fullmatch(given) else given,
        output=fields["output"].strip(),
    )
