"""Rows to train on, or to measure the held-out loss on, from a file in any form that `infra.tables` reads.

Rows without an output are left out and reported with their places. A file without any other row is refused. For an
instruction generator, rows that teach nothing (`infra.models.turned_rows`) are left out too.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from infra.columns import EXPECTED, ColumnTask, named
from infra.models.turned_rows import LEAST_WORDS, Task, teaches, turned
from infra.tables import read_tasks
from schemas.errors import ConfigurationError
from schemas.events import Instruction

_SHOWN = 3

Say = Callable[[str], None]


def read_rows(
    path: Path, limit: int | None = None, say: Say = lambda line: None, task: Task = "follow"
) -> tuple[Instruction, ...]:
    """The file's rows that have an output, in its order, at most `limit`; `say` reports rows left out.

    With the task `instruct` they are turned round. Raises ConfigurationError when the file cannot be read, or no row
    can be used.
    """
    tasks = read_tasks(path)
    check_outputs(path, tasks, say, "evaluate", "left out")
    if task == "follow":
        return tuple(each.task for each in tasks if each.answered)[:limit]
    return tuple(turned(each.task) for each in teaching(path, tasks, say))[:limit]


def teaching(path: Path, tasks: Sequence[ColumnTask], say: Say) -> list[ColumnTask]:
    """The rows that an instruction generator can learn from, and a report of how many others have an output.

    Raises ConfigurationError when there is none.
    """
    found = [task for task in tasks if teaches(task.task)]
    if not found:
        raise ConfigurationError(
            f"No row of {path} has both an instruction and an output of at least {LEAST_WORDS} words, so there is "
            "nothing to learn instructions from. Give rows with longer outputs."
        )
    others = sum(task.answered for task in tasks) - len(found)
    if others:
        say(
            f"{others:,} of {len(tasks):,} rows of {path} are left out: an output of fewer than {LEAST_WORDS} words "
            "says too little about its instruction."
        )
    return found


def check_outputs(path: Path, tasks: Sequence[ColumnTask], say: Say, purpose: str, instead: str) -> None:
    """Report how many rows have no output and what is done `instead`, and how many conversations are used in part.

    Raises ConfigurationError when no row has an output.
    """
    without = [task.place for task in tasks if not task.answered]
    where = ", ".join(without[:_SHOWN]) + (", …" if len(without) > _SHOWN else "")
    if len(without) == len(tasks):
        fields = tuple(dict.fromkeys(name for task in tasks for name in task.fields))
        raise ConfigurationError(
            f"No row of {path} has an output, so there is nothing to {purpose} on: {len(tasks):,} rows "
            f"({where}) with the fields {named(fields)}. {EXPECTED}"
        )
    if without:
        say(f"{len(without):,} of {len(tasks):,} rows of {path} have no output and are {instead}: {where}.")
    longer = sum(task.unused_turns > 0 for task in tasks)
    if longer:
        say(f"{longer:,} conversations of {path} go on after the first question and answer; only these are used.")
