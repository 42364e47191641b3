"""The sets that `sedi eval generation` asks, from the words on the command line.

superni=FOLDER     task files of Super-NaturalInstructions
longform=FILE      rows with `input` and `output`
NAME=FILE          rows of instructions with outputs
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from producers.evaluation import longform, superni
from producers.evaluation.prompt_sets import EVERY_PART, PromptSet
from schemas.errors import ConfigurationError
from sedi.eval.options import prompt_sets


def generation_sets(
    words: Sequence[str], *, shots: int, per_task: int | None, say: Callable[[str], None]
) -> list[PromptSet]:
    """The sets that the words name, in order.

    shots, per_task   of Super-NaturalInstructions
    say               reports what is left out
    Raises ConfigurationError for a word of another form, a file that cannot be asked, and two sets of one name.
    """
    sets: dict[str, PromptSet] = {}
    for word in words:
        name, _, place = word.partition("=")
        if not name or not place or name == EVERY_PART or "/" in name:
            raise ConfigurationError(f"{word!r} names no task. Give superni=FOLDER, longform=FILE, or NAME=FILE.")
        if name in sets:
            raise ConfigurationError(f"Two tasks are named {name!r}. Give each once.")
        path = Path(place).expanduser()
        if name == superni.NAME:
            sets[name] = superni.read_superni(path, shots=shots, per_task=per_task, say=say)
        else:
            sets[name] = longform.read_longform(path) if name == longform.NAME else _rows(path, name, say)
    return list(sets.values())


def _rows(path: Path, name: str, say: Callable[[str], None]) -> PromptSet:
    (prompts,) = prompt_sets([f"{name}={path}"], say)
    if not any(prompt.references for prompt in prompts.prompts):
        raise ConfigurationError(
            f"No row of {path} has an output, so there is nothing to compare answers with. Give rows with outputs; "
            "`sedi eval answers` asks prompts without."
        )
    return prompts
