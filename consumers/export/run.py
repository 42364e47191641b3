"""An export of kept rows from beginning to end.

All formats are written in one pass over the log. Memory holds a batch of rows for each format, what the reading of the
run holds (`consumers.export.run_rows`), and what is known of added rows (`consumers.export.added`).
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from consumers.export.added import AddedSource, SeenTasks, added_entry, added_sources, seen_tasks, share_withdrawals
from consumers.export.card import CARD, card
from consumers.export.folder import complete_folder, require_new
from consumers.export.formats import TEXT_FORMATS, TextFile
from consumers.export.manifest import ExportManifest, ExportRequest, file_of, write_manifest
from consumers.export.options import FORMATS, ExportOptions, Format
from consumers.export.parquet import ROWS_A_GROUP, ParquetFile
from consumers.export.rows import ExportRow
from consumers.export.run_rows import RunRows, open_run
from infra.log.source import Source

__all__ = ["FORMATS", "ExportOptions", "Format", "OnRows", "export"]

PARQUET = "rows.parquet"

OnRows = Callable[[int, int], None]
"""Called now and then with (rows read, rows to read in all)."""


class _Writer(Protocol):
    def write(self, rows: Sequence[ExportRow]) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def export(
    source: Source,
    folder: Path,
    options: ExportOptions,
    on_rows: OnRows = lambda done, total: None,
    *,
    also: Sequence[Source] = (),
) -> ExportManifest:
    """Write the run's kept rows into `folder`, which must not exist yet; after them those of the runs `also`, and of
    the options' files.

    Raises ConfigurationError for wrong options and a folder that cannot be written, RunError when a run is not
    configured, is not decided up to `through` or its books are not in order. Then nothing is left behind.
    """
    require_new(folder)
    run = open_run(source, options)
    added = added_sources(run, also, options)
    share_withdrawals(run, added)
    with complete_folder(folder) as work:
        names = _Job(options, run, added, seen_tasks(run, options), work, on_rows).write()
        totals = run.selection.totals
        rows = totals.rows + sum(one.rows for one in added)
        manifest = ExportManifest(
            run=source.run,
            through=run.extent.through,
            first_time=run.first_time,
            last_time=run.last_time,
            rows=rows,
            options=ExportRequest(formats=options.formats, clusters=options.clusters or None, license=options.license),
            excluded=run.selection.excluded_rows(),
            withheld=run.selection.withheld_rows(),
            withdrawn=run.selection.withdrawn_rows(),
            unanswered=run.selection.unanswered_rows(),
            added=added_entry(totals.rows, added, options) if added else msgspec.UNSET,
            offsets=run.offsets(),
            files=tuple(file_of(work / name, rows) for name in names),
            policy=run.settings.policy,
        )
        (work / CARD).write_text(card(manifest, run.settings, totals), encoding="utf-8", newline="\n")
        files = (*manifest.files, file_of(work / CARD, None))
        manifest = msgspec.structs.replace(manifest, files=files)
        write_manifest(work, manifest)
    return manifest


@dataclass
class _Job:
    """One pass over the sources, into the folder `work`."""

    options: ExportOptions
    run: RunRows
    added: tuple[AddedSource, ...]
    seen: SeenTasks
    work: Path
    on_rows: OnRows
    read: int = 0

    def write(self) -> list[str]:
        """Write the data files; returns their names."""
        texts = [TEXT_FORMATS[name] for name in (*self.options.formats, "lineage") if name in TEXT_FORMATS]
        writers: list[_Writer] = []
        with ExitStack() as unfinished:
            for text in texts:
                writers.append(TextFile(self.work, text))
                unfinished.callback(writers[-1].abort)
            if "parquet" in self.options.formats:
                scores = self.run.selection.judgements is not None
                runs = [self.run, *(one.source for one in self.added)]
                answers = any(isinstance(one, RunRows) and one.selection.answered_apart for one in runs)
                folder = self.work / PARQUET
                writers.append(ParquetFile(folder, scores=scores, origins=bool(self.added), answers=answers))
                unfinished.callback(writers[-1].abort)
            rows = self._rows()
            unfinished.callback(rows.close)
            while batch := tuple(islice(rows, ROWS_A_GROUP)):
                for writer in writers:
                    writer.write(batch)
            for writer in writers:
                writer.close()
        return [*(text.file for text in texts[:-1]), *([PARQUET] if len(writers) > len(texts) else ()), texts[-1].file]

    def _rows(self) -> Generator[ExportRow, None, None]:
        if not self.added:
            yield from self.run.read(self._on_read)
            return
        for row in self.run.read(self._on_read, self.run.source.run):
            self.seen.add(row, always=True)
            yield row
        for added in self.added:
            yield from added.read(self.seen, self._on_read)

    def _on_read(self, rows: int) -> None:
        self.read += rows
        self.on_rows(self.read, self.run.extent.kept + sum(one.expected for one in self.added))
