"""Rows that join those of a run: of further runs, and of files in any form that `infra.tables` reads.

A row is left out if an earlier row of the export is the same task: its instruction and its input have the same tokens,
as the first run's similarity counts them. With a threshold, so is one whose instruction is more similar to an earlier
one than that. Rows of the first run are never left out for that, and earlier sources win. A document that one run has
withdrawn is withdrawn for all of them. A file is held in memory; so are 16 bytes for each row, and with a threshold the
tokens of all instructions.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from consumers.export.manifest import Added, AddedFile, AddedRun, ExportFile, file_of
from consumers.export.options import ExportOptions
from consumers.export.rows import ExportRow, FileLineage, FileRow
from consumers.export.run_rows import RunRows, open_run
from consumers.folds.documents import document_texts
from infra.columns import EXPECTED, ColumnTask
from infra.log.source import Source
from infra.tables import read_tasks
from schemas.errors import ConfigurationError
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.tokenize import Tokenizer, tokenizer

_DIGEST = 16

_OnRead = Callable[[int], None]


@dataclass
class RowFile:
    """A file of rows; those without an output are left out."""

    entry: ExportFile
    tasks: tuple[ColumnTask, ...]
    without_output: int

    def read(self, on_read: _OnRead, origin: str) -> Iterator[ExportRow]:
        """The rows in the file's order."""
        for number, task in enumerate(self.tasks):
            id = f"{self.entry.sha256[:_DIGEST]}/{number}"
            row = FileRow(id, task.task.instruction, task.task.input, task.task.output)
            yield ExportRow(row, FileLineage(id=id, origin=origin, file_place=task.place))
            on_read(1)


@dataclass
class AddedSource:
    """A run or a file whose rows join, under its name in the export; and what became of them."""

    origin: str
    source: RunRows | RowFile
    duplicates: int = 0
    similar: int = 0
    rows: int = 0

    @property
    def expected(self) -> int:
        """Rows to read."""
        return self.source.extent.kept if isinstance(self.source, RunRows) else len(self.source.tasks)

    def read(self, seen: "SeenTasks", on_read: _OnRead) -> Iterator[ExportRow]:
        """The rows that no earlier row makes superfluous."""
        for row in self.source.read(on_read, self.origin):
            match seen.add(row):
                case "duplicate":
                    self.duplicates += 1
                case "similar":
                    self.similar += 1
                case _:
                    self.rows += 1
                    yield row


class SeenTasks:
    """The tasks of an export so far."""

    def __init__(self, tokenizer: Tokenizer, threshold: float | None) -> None:
        self._tokenizer = tokenizer
        self._digests: set[bytes] = set()
        self._index = None if threshold is None else RougeLIndex(threshold, tokenizer=tokenizer)

    def add(self, row: ExportRow, *, always: bool = False) -> Literal["new", "duplicate", "similar"]:
        """Add a row if it is new, or `always`; and say what it is."""
        digest, instruction = self._digest(row), row.kept.instruction
        if not always and digest in self._digests:
            return "duplicate"
        if self._index is not None:
            if not always and self._index.nearest_above(instruction) is not None:
                return "similar"
            self._index.add(str(len(self._index)), instruction)
        self._digests.add(digest)
        return "new"

    def _digest(self, row: ExportRow) -> bytes:
        """Of the tokens of instruction and input; a text without tokens stands for itself."""
        texts = row.kept.instruction, row.kept.input
        parts = [self._tokenizer(text) or text.strip() for text in texts]
        return hashlib.blake2b(msgspec.json.encode(parts), digest_size=_DIGEST).digest()


def seen_tasks(first: RunRows, options: ExportOptions) -> SeenTasks:
    """No tasks yet, with the tokens of the first run."""
    return SeenTasks(tokenizer(first.settings.policy.tokenizer), options.with_threshold)


def added_sources(first: RunRows, also: Sequence[Source], options: ExportOptions) -> tuple[AddedSource, ...]:
    """The further runs, then the files, in the order given; two of one name get a number.

    Raises ConfigurationError for a run that is given twice and for a file that cannot be read or has no row with an
    output, RunError as `open_run` does.
    """
    names = Counter(source.name for source in (first.source, *also))
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise ConfigurationError(f"The {twice[0]} is given twice. Name each run once.")
    sources: list[tuple[str, RunRows | RowFile]] = [
        *((source.run, open_run(source, options.of_added_runs)) for source in also),
        *((path.name, _row_file(path)) for path in options.with_files),
    ]
    seen, found = Counter([first.source.run]), []
    for name, source in sources:
        seen[name] += 1
        found.append(AddedSource(name if seen[name] == 1 else f"{name} ({seen[name]})", source))
    return tuple(found)


def share_withdrawals(first: RunRows, added: Sequence[AddedSource]) -> None:
    """Let each run leave out the documents whose text another one has withdrawn, whatever their names."""
    runs = [first, *(one.source for one in added if isinstance(one.source, RunRows))]
    withdrawing = [run for run in runs if run.selection.documents.offsets and len(runs) > 1]
    texts = {
        text for run in withdrawing for id, text in document_texts(run.source) if id in run.selection.documents.offsets
    }
    for run in runs if texts else ():
        own = run.selection.documents.offsets
        run.selection.elsewhere = {id for id, text in document_texts(run.source) if text in texts and id not in own}


def added_entry(run_rows: int, added: Sequence[AddedSource], options: ExportOptions) -> Added:
    """What the manifest says of sources that were read; `run_rows`: of the first run."""
    return Added(
        run_rows=run_rows,
        with_threshold=options.with_threshold,
        runs=tuple(_run_entry(one, one.source) for one in added if isinstance(one.source, RunRows)),
        files=tuple(_file_entry(one, one.source) for one in added if isinstance(one.source, RowFile)),
    )


def _run_entry(added: AddedSource, source: RunRows) -> AddedRun:
    return AddedRun(
        origin=added.origin,
        run=source.source.run,
        through=source.extent.through,
        first_time=source.first_time,
        last_time=source.last_time,
        kept=source.extent.kept,
        withheld=source.selection.withheld_rows(),
        withdrawn=source.selection.withdrawn_rows(),
        unanswered=source.selection.unanswered_rows(),
        duplicates=added.duplicates,
        similar=added.similar,
        rows=added.rows,
        offsets=source.offsets(),
    )


def _file_entry(added: AddedSource, source: RowFile) -> AddedFile:
    return AddedFile(
        origin=added.origin,
        sha256=source.entry.sha256,
        bytes=source.entry.bytes,
        file_rows=len(source.tasks) + source.without_output,
        without_output=source.without_output,
        duplicates=added.duplicates,
        similar=added.similar,
        rows=added.rows,
    )


def _row_file(path: Path) -> RowFile:
    tasks = read_tasks(path)
    answered = tuple(task for task in tasks if task.answered)
    if not answered:
        raise ConfigurationError(f"No row of {path} has an output, so none can join the data set. {EXPECTED}")
    return RowFile(file_of(path, len(tasks)), answered, len(tasks) - len(answered))
