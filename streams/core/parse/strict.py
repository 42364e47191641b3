"""The `strict` parser of a list of labelled tasks: by the labels, tolerant of numbering and markup.

First the labels are found, then the answer is split into blocks at the labels that start a task and at separators, then
each block into fields. Of competing labels, one with the task's own number comes before one with another number, and
that before one without; other labels are text.

Reasons of unparsed blocks: `cut` (the answer ended in it), `no_label`, `no_instruction_label`, `no_output_label`,
`misplaced_label` (duplicate or out of order), `empty_instruction`.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.events import Instruction, Unparsed
from streams.core.parse.leftover import Parsed, leave
from streams.core.parse.no_input import NO_INPUT_MARK

# A label is `\*{0,2}` and a number, if any, then `\*{0,2}` and the name, all of it not after a letter or digit. It is
# written from its first character on, so that the search skips to these characters, which are rare in a text.
_LABEL = re.compile(
    r"[*0-9IO](?:(?<=\*)(?<!\w\*)\*?(?:[0-9]{1,4}\s?[.)]\s*)?\*{0,2}[IO]"
    r"|(?<=[0-9])(?<!\w[0-9])[0-9]{0,3}\s?[.)]\s*\*{0,2}[IO]|(?<=[IO])(?<!\w[IO]))"
    r"(?P<rest>(?<=I)n(?:struction|put)|(?<=O)utput)\*{0,2}\s?:(?:\*\*)?"
)
_NAMES = {"nstruction": "Instruction", "nput": "Input", "utput": "Output"}
_AROUND_NUMBER = "*.)" + "".join(filter(str.isspace, map(chr, range(0x3001))))
_OPENING = re.compile(r"^[ \t]*```([ \t]*$)?", re.MULTILINE)


class _Label(NamedTuple):
    """A field's label.

    number      None when it has none
    own_line    it is the first text on its line
    separated   of an instruction: it comes right after a separator, or first of all
    """

    start: int
    end: int
    number: int | None
    name: str
    own_line: bool
    separated: bool


class _Block(NamedTuple):
    """A part of the answer; a task, from the end of its label, when `number` is not None."""

    start: int
    end: int
    number: int | None
    closed: bool


def parse_strict(raw: str, first_number: int, cut: bool) -> Parsed:
    """The `strict` parser of `streams.core.parse.alpaca.parse_alpaca`. Linear in the length of the answer."""
    labels = _labels(raw)
    starts = [label.start for label in labels]
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    blocks = _blocks(raw, labels, first_number)
    for block in blocks:
        if cut and block is blocks[-1] and not block.closed:
            leave(unparsed, "cut", raw[block.start : block.end])
            continue
        inside = labels[bisect_left(starts, block.start) : bisect_left(starts, block.end)]
        task = _task(raw, block, inside)
        if isinstance(task, Instruction):
            instructions.append(task)
        else:
            leave(unparsed, task, raw[block.start : block.end])
    return tuple(instructions), tuple(unparsed)


def _labels(raw: str) -> list[_Label]:
    found = []
    end = 0  # of the label before: a line that begins before it has other text
    for match in _LABEL.finditer(raw):
        start, named, last = match.start(), match.start("rest") - 1, end
        end = match.end()
        own_line = start > 0 and raw[start - 1] == "\n"
        if not own_line:
            line = raw.rfind("\n", last, start) + 1
            own_line = (line > 0 or last == 0) and not raw[line:start].strip(" \t#>-")
        digits = raw[start:named].strip(_AROUND_NUMBER)
        if not digits and not own_line:
            continue
        name = _NAMES[match["rest"]]
        separated = name == "Instruction" and _is_separated(raw, start)
        found.append(_Label(start, end, int(digits) if digits else None, name, own_line, separated))
    return found


def _is_separated(raw: str, start: int) -> bool:
    """Whether a separator is right before this place, or nothing at all."""
    before = raw[max(0, start - 40) : start].rstrip()
    return before.endswith("###") or (not before and start <= 40)


def _blocks(raw: str, labels: Sequence[_Label], first_number: int) -> list[_Block]:
    """The answer split at the starts of tasks and at separators; the first block may continue the prompt's label."""
    starts = _task_starts(labels, first_number)
    fences = _fences(raw, [label.start for label, _ in starts])
    opened = [start for start, _ in fences]
    cuts: list[tuple[int, int, int | None, bool]] = [
        (label.start, label.end, number, label.separated) for label, number in starts
    ]
    for start, end in _separators(raw):
        fence = bisect_left(opened, start) - 1
        if fence < 0 or start >= fences[fence][1]:
            cuts.append((start, end, None, True))
    blocks = []
    begin = 0
    open_number: int | None = first_number
    for start, end, next_number, separates in [*sorted(cuts), (len(raw), len(raw), None, False)]:
        if open_number is not None or raw[begin:start].strip():
            blocks.append(_Block(begin, start, open_number, separates))
        begin, open_number = end, next_number
    return blocks


def _separators(raw: str) -> Iterator[tuple[int, int]]:
    """The lines of nothing but three or more `#`, with blanks around them."""
    end = 0
    while (mark := raw.find("###", end)) >= 0:
        start = raw.rfind("\n", end, mark) + 1 or end
        end = raw.find("\n", mark)
        end = len(raw) if end < 0 else end
        if not raw[start:end].strip(" \t").strip("#"):
            yield start, end


def _fences(raw: str, starts: Sequence[int]) -> list[tuple[int, int]]:
    """The fenced blocks without the start of a task in them."""
    found: list[tuple[int, int]] = []
    if "```" not in raw:
        return found
    opened: int | None = None
    for match in _OPENING.finditer(raw):
        if opened is None:
            opened = match.start()
        elif match[1] is not None:
            first = bisect_right(starts, opened)
            if first == len(starts) or starts[first] >= match.end():
                found.append((opened, match.end()))
            opened = None
    return found


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
    if len(labels) == 2 and block.number is not None:
        given, output = labels
        if given.name == "Input" and output.name == "Output" and given.number == output.number == block.number:
            return _made(raw, block, given, output)
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
    return _made(raw, block, inputs[0] if inputs else None, output)


def _made(raw: str, block: _Block, given: _Label | None, output: _Label) -> Instruction | str:
    """The instruction with these labels of its fields; the reason for which there is none, if it is empty."""
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
    """The text without surrounding white space and trailing separators."""
    text = text.strip()
    end = len(text)
    while text.endswith("###", 0, end):
        last = end
        while end and text[end - 1] == "#":
            end -= 1
        if end and not text[end - 1].isspace():
            return text[:last]
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end]
