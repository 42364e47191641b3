"""The questions of a benchmark, from files in a folder or from the hub.

    arc_easy        arc_easy_test*, ARC-Easy/test*               on the hub: allenai/ai2_arc
    arc_challenge   arc_challenge_test*, ARC-Challenge/test*                 allenai/ai2_arc
    hellaswag       hellaswag_val*, hellaswag/val*                           Rowan/hellaswag
    mmlu            mmlu_test* and mmlu_dev*, mmlu/test*, mmlu/dev*          cais/mmlu

Files are JSON Lines, JSON, CSV or Parquet, gzipped or not (`infra.tables`), with the fields in `rows`. `held-out` is a
file of rows in any form of `infra.columns`: the likelihood of each output is measured after its instruction.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from consumers.evaluation.benchmarks.rows import source_questions
from consumers.evaluation.benchmarks.sampling import sampled
from consumers.evaluation.benchmarks.tasks import TASKS, BenchmarkQuestion, BenchmarkTask, SourceQuestion
from consumers.trainer.data.row_file import read_rows
from infra.digest import sha256_of
from infra.tables import TableRow, read_table
from infra.visible import first_line
from schemas.errors import ConfigurationError
from schemas.evaluation import Benchmark
from schemas.events import Instruction

HELD_OUT = "held-out"

Say = Callable[[str], None]


@dataclass(frozen=True)
class HeldOutText:
    """A row whose output is measured."""

    id: str
    row: Instruction
    group: str = ""


AnyQuestion = BenchmarkQuestion | HeldOutText


@dataclass(frozen=True)
class BenchmarkData:
    """A benchmark's questions that are to be measured.

    sample        how they were sampled; empty: all
    group_sizes   questions of each group in the data
    """

    benchmark: Benchmark
    sample: str
    group_sizes: dict[str, int]
    questions: tuple[AnyQuestion, ...]


@dataclass(frozen=True)
class _Places:
    """Where a split is: patterns of files in a folder; data set, configuration and split on the hub."""

    patterns: tuple[str, ...]
    hub: tuple[str, str | None, str]


_TEST = {
    "arc_easy": _Places(("arc_easy_test*", "ARC-Easy/test*"), ("allenai/ai2_arc", "ARC-Easy", "test")),
    "arc_challenge": _Places(
        ("arc_challenge_test*", "ARC-Challenge/test*"), ("allenai/ai2_arc", "ARC-Challenge", "test")
    ),
    "hellaswag": _Places(("hellaswag_val*", "hellaswag/val*"), ("Rowan/hellaswag", None, "validation")),
    "mmlu": _Places(("mmlu_test*", "mmlu/test*"), ("cais/mmlu", "all", "test")),
}
_DEV = {"mmlu": _Places(("mmlu_dev*", "mmlu/dev*"), ("cais/mmlu", "all", "dev"))}


def read_benchmark(
    name: str, folder: Path | None, *, per_subject: int | None = None, limit: int | None = None, seed: int = 0
) -> BenchmarkData:
    """The questions of a task of `TASKS`; `folder` None: from the hub.

    per_subject   at most so many of each subject, of a task with subjects (MMLU)
    limit         at most so many, of any other
    Raises ConfigurationError for data that are not there, or not in a known form.
    """
    if name not in TASKS:
        raise ConfigurationError(f"There is no task {name!r}. Choose of {', '.join(TASKS)}, or {HELD_OUT}=FILE.")
    task = TASKS[name]
    sources, form, digest = _read(name, _TEST[name], folder)
    examples: dict[str, tuple[SourceQuestion, ...]] = {}
    if task.shots:
        solved, _, digest_of_examples = _read(name, _DEV[name], folder)
        examples = _examples(task, solved, {source.subject for source in sources})
        digest = hashlib.sha256(f"{digest}\n{digest_of_examples}".encode()).hexdigest()
    questions = [task.ask(source, examples.get(source.subject, ())) for source in sources]
    chosen, sample = sampled(questions, per_subject if task.shots else limit, seed)
    benchmark = Benchmark(name=name, version=task.version, shots=task.shots, form=form, data_sha256=digest)
    return BenchmarkData(benchmark, sample, dict(Counter(source.subject for source in sources)), chosen)


def read_held_out(path: Path, limit: int | None = None, seed: int = 0, say: Say = lambda line: None) -> BenchmarkData:
    """The rows of a file that have an output. Raises ConfigurationError when there are none."""
    texts = [HeldOutText(str(number), row) for number, row in enumerate(read_rows(path, say=say))]
    chosen, sample = sampled(texts, limit, seed)
    benchmark = Benchmark(name=HELD_OUT, version=1, shots=0, form=path.name, data_sha256=sha256_of(path))
    return BenchmarkData(benchmark, sample, {"": len(texts)}, chosen)


def _examples(
    task: BenchmarkTask, solved: Sequence[SourceQuestion], subjects: set[str]
) -> dict[str, tuple[SourceQuestion, ...]]:
    found: defaultdict[str, list[SourceQuestion]] = defaultdict(list)
    for example in solved:
        found[example.subject].append(example)
    for subject in sorted(subjects):
        if len(found[subject]) < task.shots:
            raise ConfigurationError(
                f"{task.name} is asked with {task.shots} solved examples of each subject, and {subject} has "
                f"{len(found[subject])}. Add them to the dev file."
            )
    return {subject: tuple(examples[: task.shots]) for subject, examples in found.items()}


def _read(name: str, places: _Places, folder: Path | None) -> tuple[tuple[SourceQuestion, ...], str, str]:
    """Questions, their form, and the data's SHA-256."""
    if folder is None:
        rows = _from_hub(name, *places.hub)
        questions, form = source_questions(name, rows, "/".join(filter(None, places.hub)))
        content = msgspec.json.encode([row.fields for row in rows], order="sorted")
        return questions, form, hashlib.sha256(content).hexdigest()
    path = _file(name, places.patterns, folder)
    questions, form = source_questions(name, read_table(path), str(path))
    return questions, form, sha256_of(path)


def _file(name: str, patterns: Sequence[str], folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}. Give one that holds the questions of {name}.")
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if len(found) != 1:
        listed = f"several: {', '.join(path.name for path in found)}" if found else "none"
        raise ConfigurationError(
            f"The questions of {name} are read from one file {' or '.join(patterns)} in {folder}, and there is "
            f"{listed}. Put one there, or leave the task out."
        )
    return found[0]


def _from_hub(name: str, path: str, configuration: str | None, split: str) -> tuple[TableRow, ...]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The questions of {name} would come from the hub, and the package datasets is not installed. Give a "
            "folder that holds them with --data, or install the part [eval]: pip install 'sedi-instruct[eval]'."
        ) from error
    try:
        found: Any = datasets.load_dataset(path, configuration, split=split)
    except Exception as error:
        raise ConfigurationError(
            f"The questions of {name} ({path}) cannot be fetched from the hub: {first_line(error)} Give a folder that "
            "holds them with --data."
        ) from error
    return tuple(TableRow(f"row {number}", dict(row)) for number, row in enumerate(found, start=1))
