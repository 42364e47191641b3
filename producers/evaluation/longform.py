"""LongForm: instructions with long texts as answers, as one set of prompts.

A row has `input`, the instruction, and `output`, the text; `source` or `subset`, where the text is from, is the group.
This is the data set's form by its public description. Any format that `infra.tables` reads will do.
"""

from pathlib import Path
from typing import Any

from infra.columns import named
from infra.tables import TableRow, read_table
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from schemas.errors import ConfigurationError

NAME = "longform"

_GROUPS = ("source", "subset")


def read_longform(path: Path) -> PromptSet:
    """The prompts of a file; each row's number is its id.

    Raises ConfigurationError, with file and place, for a row without an instruction or a text.
    """
    return PromptSet(NAME, tuple(_prompt(row, number, path) for number, row in enumerate(read_table(path), start=1)))


def _prompt(row: TableRow, number: int, path: Path) -> EvaluationPrompt:
    instruction, text = (_filled(row.fields.get(column)) for column in ("input", "output"))
    if instruction is None or text is None:
        lacking = "output" if text is None else "input"
        raise ConfigurationError(
            f"{path}, {row.place}: `{lacking}` is missing or empty. Fields found: {named(tuple(row.fields))}. Give "
            "rows with the instruction as `input` and the text as `output`."
        )
    group = next((found for name in _GROUPS if (found := _filled(row.fields.get(name)))), "")
    return EvaluationPrompt(str(number), instruction, group=group, references=(text,))


def _filled(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
