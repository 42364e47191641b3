"""The sets that `sedi eval generation` asks, from the words on the command line.

superni=FOLDER     task files of Super-NaturalInstructions
longform=FILE      rows with `input` and `output`
NAME=FILE          rows of instructions with outputs
"""

from collections.abc import Callable
from pathlib import Path

from producers.evaluation import longform, superni
from producers.evaluation.prompt_sets import EVERY_PART, PromptSet, read_prompt_file
from schemas.errors import ConfigurationError


def generation_set(text: str, *, shots: int, per_task: int | None, say: Callable[[str], None]) -> PromptSet:
    """The set that a text names.

    shots, per_task   of Super-NaturalInstructions
    say               reports what is left out
    Raises ConfigurationError for a text of another form, and for a file that cannot be asked.
    """
    name, _, place = text.partition("=")
    if not name or not place or name == EVERY_PART:
        raise ConfigurationError(f"{text!r} names no task. Give superni=FOLDER, longform=FILE, or NAME=FILE.")
    path = Path(place).expanduser()
    if name == superni.NAME:
        return superni.read_superni(path, shots=shots, per_task=per_task, say=say)
    return longform.read_longform(path) if name == longform.NAME else _rows(path, name, say)


def _rows(path: Path, name: str, say: Callable[[str], None]) -> PromptSet:
    found = read_prompt_file(path, name)
    if found.skipped:
        say(f"{len(found.skipped)} rows of {path} hold no prompt and are left out: {', '.join(found.skipped[:3])}.")
    (prompts,) = found.sets
    if not any(prompt.references for prompt in prompts.prompts):
        raise ConfigurationError(
            f"No row of {path} has an output, so there is nothing to compare answers with. Give rows with outputs; "
            "`sedi eval answers` asks prompts without."
        )
    return prompts
