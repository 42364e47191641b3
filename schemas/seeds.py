"""A seed task, and the classic JSON Lines file format of seed tasks.

The file format is Self-Instruct's `seed_tasks.jsonl`: one object a line with `id`, `name`, `instruction`,
`instances: [{input, output}, ...]` and `is_classification`. The first instance is used.
"""

from collections.abc import Iterable

import msgspec

from schemas.errors import ConfigurationError


class SeedTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task that prompts can show: written by people, or a kept instruction that replaced a seed."""

    id: str
    instruction: str
    input: str = ""
    output: str = ""
    is_classification: bool = False


class _Instance(msgspec.Struct, frozen=True):
    input: str
    output: str


class _SeedLine(msgspec.Struct, frozen=True):
    id: str
    instruction: str
    instances: list[_Instance]
    is_classification: bool = False


def parse_seed_lines(lines: Iterable[str], origin: str) -> tuple[SeedTask, ...]:
    """Read seed tasks from the lines of a classic seed file.

    `origin` names the file in errors. Blank lines are skipped.
    Raises ConfigurationError with the line's number for any other line that is not a seed task and for a duplicate id,
    and for a file without any task.
    """
    seeds: dict[str, SeedTask] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_SeedLine)
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
            raise ConfigurationError(
                f"{origin}, line {number}: not a seed task ({error}). Each line must be a JSON object with id, "
                "instruction, instances [{input, output}] and is_classification."
            ) from error
        if not row.instances or not row.instruction.strip():
            raise ConfigurationError(
                f"{origin}, line {number}: seed {row.id!r} has no instruction or no instance. Give it both."
            )
        if row.id in seeds:
            raise ConfigurationError(f"{origin}, line {number}: seed id {row.id!r} is a duplicate. Make ids unique.")
        first = row.instances[0]
        seeds[row.id] = SeedTask(
            id=row.id,
            instruction=row.instruction,
            input=first.input,
            output=first.output,
            is_classification=row.is_classification,
        )
    if not seeds:
        raise ConfigurationError(f"{origin} holds no seed task. Give a file with at least one line.")
    return tuple(seeds.values())


def seed_line(seed: SeedTask) -> bytes:
    """The seed as a line of a classic seed file, without the line end."""
    return msgspec.json.encode(
        {
            "id": seed.id,
            "name": seed.id,
            "instruction": seed.instruction,
            "instances": [{"input": seed.input, "output": seed.output}],
            "is_classification": seed.is_classification,
        }
    )
