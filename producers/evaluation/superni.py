"""Super-NaturalInstructions: its task files as one set of prompts.

A task file is one JSON object, `Categories`, `Definition`, `Positive Examples` and `Instances`, in both published
forms: a text may be a list with the text in it, and instances may lack an id. Its name up to the first dot names the
task. Where a task is there in parts, such as `.train` and `.test`, the part `test` is asked.

A prompt is the task's definition and the instance's input. With shots, the first positive examples of the task follow
the definition, in a layout of our own. The instance's outputs are the references, the task's first category is the
group.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.tables import read_table
from producers.evaluation.prompt_sets import EvaluationPrompt, PromptSet
from schemas.errors import ConfigurationError

NAME = "superni"
MOST_SHOTS = 2

_SUFFIXES = (".json", ".json.gz")
_TEST = "test"
_EXAMPLES = "Positive Examples"
_SHOWN = 3


def read_superni(
    path: Path, *, shots: int = 0, per_task: int | None = None, say: Callable[[str], None] = lambda line: None
) -> PromptSet:
    """The prompts of a folder's task files, or of one file, by task and in the order of the files.

    shots      positive examples in each prompt, 0 to 2
    per_task   ask so many instances of each task, those with the smallest hashes of their ids; None: all
    say        reports parts that are not asked, and tasks with fewer examples than shots
    Raises ConfigurationError, with the file, for one that is no such task, has no instances, or lacks an output.
    """
    if not 0 <= shots <= MOST_SHOTS:
        raise ConfigurationError(f"shots is {shots}; give 0 to {MOST_SHOTS}.")
    if per_task is not None and per_task < 1:
        raise ConfigurationError(f"per_task is {per_task}; give 1 or more.")
    prompts: dict[str, EvaluationPrompt] = {}
    short: list[str] = []
    for task, file in _task_files(path, say).items():
        fields = _fields(file)
        examples = _examples(fields, file)[:shots]
        if len(examples) < shots:
            short.append(f"{task} ({len(examples)})")
        asked = _sample(_instances(fields, task, file, _instruction(fields, examples, file)), per_task)
        for prompt in asked:
            if prompt.id in prompts:
                raise ConfigurationError(f"{file}: the instance id {prompt.id!r} is a duplicate. Make ids unique.")
            prompts[prompt.id] = prompt
    if short:
        say(f"{len(short)} tasks have fewer than {shots} positive examples, and are asked with those: {_named(short)}.")
    return PromptSet(NAME, tuple(prompts.values()), shots)


def _task_files(path: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The file of each task, by its name. Raises ConfigurationError for none, and for parts without a test part."""
    if path.is_file():
        return {_parts(path)[0]: path}
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(path.glob("task*")) if path.is_dir() else ():
        if file.name.endswith(_SUFFIXES) and file.is_file():
            task, part = _parts(file)
            found.setdefault(task, {})[part] = file
    if not found:
        raise ConfigurationError(f"{path} holds no task files (task*.json, task*.json.gz). Give a folder with some.")
    left_out = 0
    chosen = {}
    for task, files in found.items():
        part = _TEST if _TEST in files else next(iter(files))
        if part != _TEST and len(files) > 1:
            raise ConfigurationError(
                f"{path} holds {len(files)} files of {task} ({', '.join(file.name for file in files.values())}), and "
                "none is its test part. Leave one of them."
            )
        left_out += len(files) - 1
        chosen[task] = files[part]
    if left_out:
        say(f"{left_out} files in {path} are not asked: there is a test part of the same task.")
    return chosen


def _parts(file: Path) -> tuple[str, str]:
    """A task's name and the part of it: of task1_x.test.json.gz `task1_x` and `test`."""
    stem = file.name.removesuffix(".gz").removesuffix(".json")
    task, _, part = stem.partition(".")
    return task, part


def _fields(file: Path) -> dict[str, Any]:
    rows = read_table(file)
    if len(rows) != 1 or "Instances" not in rows[0].fields:
        raise ConfigurationError(
            f"{file} is no task of Super-NaturalInstructions: it must be one JSON object with `Definition` and "
            "`Instances`. Give task files."
        )
    return rows[0].fields


def _instruction(fields: dict[str, Any], examples: Sequence[tuple[str, str]], file: Path) -> str:
    """The definition, and the examples after it."""
    definition = "\n".join(_texts(fields, "Definition", file)).strip()
    if not definition:
        raise ConfigurationError(f"{file}: `Definition` is missing or empty. Give a task with its definition.")
    if not examples:
        return definition
    solved = "\n\n".join(f"Input: {input}\nOutput: {output}" for input, output in examples)
    return f"{definition}\n\nSolved examples:\n\n{solved}\n\nNow give the output for a new input."


def _examples(fields: dict[str, Any], file: Path) -> list[tuple[str, str]]:
    """Input and output of each positive example."""
    found = []
    for number, example in enumerate(_objects(fields, _EXAMPLES, file), start=1):
        output = next((text for text in _texts(example, "output", file) if text.strip()), None)
        if output is None:
            raise ConfigurationError(f"{file}: positive example {number} has no output. Add it, or remove the example.")
        found.append(("\n".join(_texts(example, "input", file)), output))
    return found


def _instances(fields: dict[str, Any], task: str, file: Path, instruction: str) -> list[EvaluationPrompt]:
    group = next((text for text in _texts(fields, "Categories", file) if text.strip()), "")
    found = []
    for number, instance in enumerate(_objects(fields, "Instances", file), start=1):
        references = tuple(dict.fromkeys(text for text in _texts(instance, "output", file) if text.strip()))
        if not references:
            raise ConfigurationError(f"{file}: instance {number} has no output. Add it, or remove the instance.")
        id = instance.get("id")
        found.append(
            EvaluationPrompt(
                id=id if isinstance(id, str) and id else f"{task}-{number}",
                instruction=instruction,
                input="\n".join(_texts(instance, "input", file)),
                group=group,
                references=references,
            )
        )
    if not found:
        raise ConfigurationError(f"{file} has no instances, so there is nothing to ask. Take it out of the folder.")
    return found


def _objects(fields: dict[str, Any], name: str, file: Path) -> list[dict[str, Any]]:
    given = fields.get(name) or []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ConfigurationError(f"{file}: `{name}` must be a list of objects with `input` and `output`.")
    return given


def _texts(fields: dict[str, Any], name: str, file: Path) -> list[str]:
    """The texts of a field that holds one, or a list of them; none of a missing one."""
    given = fields.get(name)
    texts = given if isinstance(given, list) else [] if given is None else [given]
    for text in texts:
        if not isinstance(text, str):
            raise ConfigurationError(f"{file}: `{name}` holds {text!r}. Make it a text, or a list of texts.")
    return texts


def _sample(prompts: list[EvaluationPrompt], most: int | None) -> list[EvaluationPrompt]:
    """The prompts with the smallest hashes of their ids, in the order given: the same ones in a smaller sample."""
    if most is None or len(prompts) <= most:
        return prompts
    chosen = sorted(prompts, key=lambda prompt: hashlib.sha256(prompt.id.encode()).digest())[:most]
    ids = {prompt.id for prompt in chosen}
    return [prompt for prompt in prompts if prompt.id in ids]


def _named(tasks: Sequence[str]) -> str:
    return ", ".join(tasks[:_SHOWN]) + (f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else "")
