"""Instruction data turned round: the model reads a row's output and learns its instruction and input.

A model trained on such rows (`sedi train --task instruct`) is an instruction generator: given any text, it writes an
instruction that the text could answer. Trainer and producer build the question here, so that the model is asked for a
document's segment in exactly the words it was trained with. The question stands after the text: where a long text loses
its middle (`infra.models.templates`), the question stays.

A turned row is a row like any other, and is encoded in the same templates.
"""

from typing import Literal

from infra.models.templates import AnyRow
from schemas.events import Instruction
from streams.core.scripts import count_words

Task = Literal["follow", "instruct"]
"""What a model is trained for: to follow instructions, or to write the instruction that a text answers."""

LEAST_WORDS = 5
"""Words of the shortest output that says enough about its instruction; most shorter ones are labels and names."""


def question(text: str) -> str:
    """What an instruction generator is asked about a text, before any template."""
    return f"{text.strip()}\n\nWhich instruction does this text answer?"


def answer(instruction: str, given: str) -> str:
    """What an instruction generator answers: the instruction, and below it the input if there is one."""
    return f"{instruction.strip()}\nInput: {given.strip()}" if given.strip() else instruction.strip()


def teaches(row: AnyRow) -> bool:
    """Whether a turned row can be learned from: it has an instruction, and `LEAST_WORDS` of output."""
    return bool(row.instruction.strip()) and count_words(row.output) >= LEAST_WORDS


def turned(row: AnyRow) -> Instruction:
    """The row turned round: its output is the question, its instruction and input the answer.

    A row that teaches nothing (`teaches`) becomes one without an answer, which has no weight in the loss.
    """
    learned = answer(row.instruction, row.input) if teaches(row) else ""
    return Instruction(instruction=question(row.output), output=learned)
