"""The `strict` parser of a list of labelled tasks: by the labels, tolerant of numbering and markup.

First the labels are found, then the answer is split into blocks at the labels that start a task and at separators, then
each block into fields. Of competing labels, one with the task's own number comes before one with another number, and
that before one without; other labels are text.

Reasons of unparsed blocks: `cut` (the answer ended in it), `no_label`, `no_instruction_label`, `no_output_label`,
`misplaced_label` (duplicate or out of order), `empty_instruction`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.events import Instruction, Unparsed
from streams.core.parse.leftover import Parsed, leave
from streams.core.parse.no_input import NO_INPUT_MARK

_LABEL = re.compile(
    r"(?<!\w)\*{0,2}(?:(?P<number>[0-9]{1,4})\s?[.)]\s*)?\*{0,2}(?P<name>Instruction|Input|Output)\*{0,2}\s?:(?:\*\*)?"
)
_SEPARATOR = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```.*?^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class _Label:
    """A field's label: `number` is None when it has none; `own_line`: it is the first text on its line."""

    start: int
    end: int
    number: int | None
    name: str
    own_line: bool
    separated: bool


@dataclass(frozen=True)
class _Block:
    """A part of the answer; a task, from the end of its label, when `number` is not None."""

    start: int
    end: int
    number: int | None
    closed: bool


def parse_strict(raw: str, first_number: int, cut: bool) -> Parsed:
    """The `strict` parser of `streams.core.parse.alpaca.parse_alpaca`."""
    labels = _labels(raw)
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    blocks = _blocks(raw, labels, first_number)
    for block in blocks:
        text = raw[block.start : block.end]
        if cut and block is blocks[-1] and not block.closed:
            leave(unparsed, "cut", text)
            continue
        inside = [label for label in labels if block.start <= label.start < block.end]
        task = _task(raw, block, inside)
        if isinstance(task, Instruction):
            instructions.append(task)
        else:
            leave(unparsed, task, text)
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
    """The answer split at the starts of tasks and at separators; the first block may continue the prompt's label."""
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
    """The labels that start a task, with its number; without one, it is one more than the task before."""
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
    """Whether these three labels are a complete task: in order, with one number."""
    return [label.name for label in labels] == ["Instruction", "Input", "Output"] and len(
        {label.number for label in labels}
    ) == 1


def _task(raw: str, block: _Block, labels: Sequence[_Label]) -> Instruction | str:
    """The block's instruction, or the reason why it has none."""
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
        input="" if NO_INPUT_MARK.fullmatch(text) else text,
        output=_trim(raw[output.end : block.end]),
    )


def _best(labels: Sequence[_Label], name: str, number: int) -> list[_Label]:
    """The labels of this name that fit the task best: with its number, else any number, else none."""
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
    """The text without surrounding white space and a trailing separator."""
    while True:
        text = text.strip()
        rest = text.rstrip("#")
        if len(text) - len(rest) < 3 or (rest and not rest[-1].isspace()):
            return text
        text = rest
