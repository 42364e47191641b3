"""Recognises inputs that mean no input."""

import re

import msgspec

from schemas.events import Instruction

NO_INPUT_MARK = re.compile(r"<\s?no[\s_-]?input\s?>\.?", re.IGNORECASE)
"""The mark that the prompts show, for version 1 of the parser."""
NO_INPUT = re.compile(
    r"[`'\"*(\[<]*\s?(?:no[\s_-]?input|none|n/?a|nil|not applicable|null|empty)\s?[>)\]'\"`*]*\.?|[-–—]", re.IGNORECASE
)


def without_marked_input(task: Instruction) -> Instruction:
    """The task with an empty input instead of `None`, `N/A`, `` `<noinput>` `` and the like."""
    return msgspec.structs.replace(task, input="") if task.input and NO_INPUT.fullmatch(task.input) else task
