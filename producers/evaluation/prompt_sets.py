"""Sets of prompts that models are asked, read from files of any form that `infra.tables` reads.

Beside the columns of `infra.columns`, a row may have `turns` (Vicuna: the first one is asked), an id (`id`,
`question_id`, `idx`) and a group (`category`, `dataset`, `skill`, `motivation_app`). An output, or that of each
instance (Self-Instruct), is a reference. A prompt without an id gets the number of its row in the file.

A row without a prompt is left out and named (`PromptFile.skipped`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from infra.columns import EXPECTED, named, task_of, text_of
from infra.tables import TableRow, read_table
from schemas.errors import ConfigurationError

_IDS = ("id", "question_id", "prompt_id", "idx")
_GROUPS = ("group", "category", "dataset", "skill", "motivation_app")
_PROMPTS = ("instruction", "prompt", "question", "messages", "conversations")
_NAMES = {"helpful_base": "helpful"}  # AlpacaEval's part as papers call it
_SUFFIXES = (".gz", ".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet")
LARGEST_PROMPT = 3 * 1024 * 1024
"""Bytes of a prompt with its references, at most: its answer's event holds them, and must fit into a record."""

EVERY_PART = "*"
"""The name of a set that is split by its rows' `dataset`."""


@dataclass(frozen=True)
class EvaluationPrompt:
    """A prompt of a set; `id` is unique in it. `references`: right answers to compare with, if there are any."""

    id: str
    instruction: str
    input: str = ""
    group: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptSet:
    """Prompts in order. `shots`: solved examples that each instruction begins with.

    Raises ConfigurationError for an id that two prompts have, and for a prompt larger than `LARGEST_PROMPT`.
    """

    name: str
    prompts: tuple[EvaluationPrompt, ...]
    shots: int = 0

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for prompt in self.prompts:
            if prompt.id in seen:
                raise ConfigurationError(
                    f"Two prompts of the set {self.name!r} have the id {prompt.id!r}. Make ids unique in a set."
                )
            seen.add(prompt.id)
            if (size := len(msgspec.json.encode(prompt))) > LARGEST_PROMPT:
                raise ConfigurationError(
                    f"The prompt {prompt.id[:60]!r} of the set {self.name!r} has {size:,} bytes with its references, "
                    f"and at most {LARGEST_PROMPT:,} can be asked. Shorten it, or leave it out."
                )

    @cached_property
    def sha256(self) -> str:
        """The digest of the prompts, in order, with their references."""
        return hashlib.sha256(msgspec.json.encode(self.prompts)).hexdigest()


@dataclass(frozen=True)
class PromptFile:
    """The sets of a file, and the places of the rows that hold no prompt."""

    sets: tuple[PromptSet, ...]
    skipped: tuple[str, ...] = ()


def read_prompt_file(path: Path, name: str = "") -> PromptFile:
    """The prompts of a file as one set, named after the file without a `name`; for the name `*` a set of each
    `dataset`.

    Raises ConfigurationError for a file that cannot be read, or holds no prompt, and for a duplicate id.
    """
    skipped: list[str] = []
    found: dict[str, dict[str, EvaluationPrompt]] = {}
    whole = name or _name_of(path)
    for number, row in enumerate(read_table(path), start=1):
        fields = {key.strip().casefold(): value for key, value in row.fields.items()}
        prompt = _prompt(row, fields, str(path), number)
        if prompt is None:
            skipped.append(row.place)
            continue
        part = whole if whole != EVERY_PART else _part(fields, f"{path}, {row.place}")
        prompts = found.setdefault(part, {})
        if prompt.id in prompts:
            raise ConfigurationError(
                f"{path}, {row.place}: the id {prompt.id!r} is a duplicate. Make ids unique, or leave them all out."
            )
        prompts[prompt.id] = prompt
    if not found:
        raise ConfigurationError(f"{path} holds no prompt. {EXPECTED} Or `turns`, of which the first is asked.")
    return PromptFile(tuple(PromptSet(part, tuple(prompts.values())) for part, prompts in found.items()), (*skipped,))


def _prompt(row: TableRow, fields: Mapping[str, Any], file: str, number: int) -> EvaluationPrompt | None:
    """The prompt of a row; None if it has none."""
    where = f"{file}, {row.place}"
    values = dict(row.fields)
    if not any(map(_is_given, map(fields.get, _PROMPTS))):
        turns = fields.get("turns")
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], str) or not turns[0].strip():
            return None
        values = {"instruction": turns[0]}
    task = task_of(values, file, row.place)
    id = next((fields[key] for key in _IDS if _is_given(fields.get(key))), number)
    group = next((fields[key] for key in _GROUPS if _is_given(fields.get(key))), "")
    if isinstance(id, dict | list) or isinstance(group, dict | list):
        raise ConfigurationError(f"{where}: an id or group must be a text or a number. Fields: {named(task.fields)}.")
    references = _references(fields, task.task.output)
    return EvaluationPrompt(str(id), task.task.instruction, task.task.input, str(group), references)


def _references(fields: Mapping[str, Any], output: str) -> tuple[str, ...]:
    """The right answers: `references`, the outputs of all instances, or the output."""
    given = fields.get("references")
    if _is_given(given):
        texts = list(map(text_of, given if isinstance(given, list) else [given]))
    elif isinstance(instances := fields.get("instances"), list):
        texts = [text_of(each.get("output")) for each in instances if isinstance(each, dict)]
    else:
        texts = [output]
    return tuple(dict.fromkeys(text for text in texts if text.strip()))


def _part(fields: Mapping[str, Any], where: str) -> str:
    dataset = fields.get("dataset")
    if not isinstance(dataset, str) or not dataset.strip():
        raise ConfigurationError(f"{where}: the row names no `dataset`, so it belongs to no set. Give the set a name.")
    return _NAMES.get(dataset, dataset)


def _is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip()) and value != []


def _name_of(path: Path) -> str:
    name = path.name
    while name.lower().endswith(_SUFFIXES):
        name = name.rpartition(".")[0]
    return name
