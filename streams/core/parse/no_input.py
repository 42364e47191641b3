"""Inputs that only say that there is none."""

import re

import msgspec

from schemas.events import Instruction

NO_INPUT_MARK = re.compile(r"<\s?no[\s_-]?input\s?>\.?", re.IGNORECASE)
"""The mark that the prompts show, as the first version of the reading takes it."""
NO_INPUT = re.compile(
    r"[`'\"*(\[<]*\s?(?:no[\s_-]?input|none|n/?a|nil|not applicable|null|empty)\s?[>)\]'\"`*]*\.?|[-–—]", re.IGNORECASE
)


def without_marked_input(task: Instruction) -> Instruction:
    """The task without an input that only says that there is none: `None`, `N/A`, `` `<noinput>` ``."""
    return msgspec.structs.replace(task, input="") if NO_INPUT.fullmatch(task.input) else task
