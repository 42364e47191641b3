"""Parses answers of the `alpaca` style: a list of tasks with three labelled fields each.

There are two parsers. `faithful` does what Alpaca does, with its known bugs. `strict` fixes them. Both return a task
with an empty output, which the rule `empty_output` rejects. Both are total: every text gives a result, and text without
an instruction is returned as `Unparsed`, except labels, separators and `<noinput>` marks.

Not known here: whether the text after the last task's output is still output or a closing remark.
"""

import re
from typing import Literal

from schemas.events import Instruction, Unparsed
from streams.core.parse.leftover import Parsed, leave
from streams.core.parse.strict import parse_strict


def parse_alpaca(raw: str, *, parser: Literal["strict", "faithful"], first_number: int, cut: bool) -> Parsed:
    """Parse the answer to a prompt that ends with `<first_number>. Instruction:`.

    raw            the answer; it continues the prompt, or starts the list itself as chat models do
    first_number   number of the first task in the answer: one more than the seeds shown
    cut            the answer was truncated, so its last task is incomplete

    `faithful` splits at every `###`, and requires a block's number to be its place and exactly seven parts around the
    three labels. So Markdown headings split tasks, a numbering error loses all following tasks, and a task merged into
    the one before becomes part of its output. `strict` uses the labels: a task starts at a line with `<number>.
    Instruction:`, whatever the number, and only a line of nothing but `###` separates. A missing `Input` label is an
    empty input.
    """
    return parse_strict(raw, first_number, cut) if parser == "strict" else _faithful(raw, first_number, cut)


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
