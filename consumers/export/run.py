"""An export from beginning to end: into a folder beside, which takes its name when all is there.

All formats are written in one pass over the log. Memory holds a batch of rows for each format and what the reading
fetched ahead. Whoever finds the folder finds it whole; a process that is killed leaves `.<name>.<random>.partial`
beside, which may be deleted.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, get_args

import msgspec

from consumers.export.card import CARD, card
from consumers.export.decided import DecidedExtent, DecidedReading, configured, extent
from consumers.export.exclusion import Exclusion
from consumers.export.formats import TEXT_FORMATS, TextFile
from consumers.export.manifest import (
    CoveredOffsets,
    Excluded,
    ExportFile,
    ExportManifest,
    ExportRequest,
    Withheld,
    file_of,
    write_manifest,
)
from consumers.export.parquet import ROWS_A_GROUP, ParquetFile
from consumers.export.rows import ExportRow, row
from consumers.export.totals import ExportTotals
from consumers.folds.judgements import judgements
from infra.log.source import Source
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept, RunConfigured
from streams.core.judging import Judgements

Format = Literal["alpaca", "sharegpt", "openai", "trl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
PARQUET = "rows.parquet"

OnRows = Callable[[int, int], None]
"""Told now and then how many kept rows were read, of how many."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    formats    written in one pass
    through    the last offset of `generated`; None: the last that is decided
    exclude    a file of instruction ids to leave out, one a line
    clusters   only these; none: all
    license    as the data card names it
    min_score  only rows that a judge gave at least this; None: all
    judge      which judge, by name; None: the one there is
    judged_through   the last offset of `judged` that counts; None: the last there is
    """

    formats: tuple[Format, ...] = ("alpaca",)
    through: int | None = None
    exclude: Path | None = None
    clusters: tuple[int, ...] = ()
    license: str = "unknown"
    min_score: float | None = None
    judge: str | None = None
    judged_through: int | None = None

    def __post_init__(self) -> None:
        # In one order whatever was said first, for equal files.
        object.__setattr__(self, "formats", tuple(name for name in FORMATS if name in self.formats))
        object.__setattr__(self, "clusters", tuple(sorted(set(self.clusters))))


class _Writer(Protocol):
    def write(self, rows: Sequence[ExportRow]) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def export(
    source: Source, folder: Path, options: ExportOptions, on_rows: OnRows = lambda done, total: None
) -> ExportManifest:
    """Write the run's kept rows into `folder`, which must not be there yet.

    Raises ConfigurationError for options that will not do and a folder that cannot be written, RunError when the run
    is not configured, is not decided up to `through` or its books are not in order. Then nothing is left behind.
    """
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} is there already, and an export never changes one. Give another folder.")
    excluded = Exclusion.read(options.exclude)
    settings, run_offset = configured(source)
    _check_clusters(options.clusters, settings.policy.clusters)
    reach = extent(source, options.through)
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        work.mkdir(parents=True)
        judged = None
        if options.min_score is not None:
            judged = judgements(source, options.judge, options.judged_through)
        job = _Job(source, options, settings, reach, excluded, judged, work, on_rows)
        manifest = job.write(run_offset)
        if folder.exists():
            raise ConfigurationError(f"{folder} was made by somebody else meanwhile. Give another folder.")
        work.rename(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error}. Free the way, or give another folder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


@dataclass
class _Job:
    """One pass over the log."""

    source: Source
    options: ExportOptions
    configured: RunConfigured
    extent: DecidedExtent
    excluded: Exclusion | None
    judged: tuple[Judgements, int] | None
    work: Path
    on_rows: OnRows
    totals: ExportTotals = field(default_factory=ExportTotals)

    def write(self, run_offset: int) -> ExportManifest:
        """Write everything into the work folder; `run_offset` is where the run's configuration stands."""
        with self.source.open(DecidedReading.topics) as reading:
            starts = reading.starts()
            log = DecidedReading(reading, self.extent.through)
            names = self._write_rows(log)
        used = {("run", 0): (run_offset, run_offset + 1)}
        used |= {place: (starts[place], end) for place, end in log.covered.items()}
        if self.judged is not None:
            used["judged", 0] = (0, self.judged[1])
        offsets = tuple(
            CoveredOffsets(topic=topic, partition=partition, start=start, end=end)
            for (topic, partition), (start, end) in sorted(used.items())
        )
        files = tuple(file_of(self.work / name, self.totals.rows) for name in names)
        manifest = self._manifest(log, offsets, files)
        text = card(manifest, self.configured, self.totals)
        (self.work / CARD).write_text(text, encoding="utf-8", newline="\n")
        manifest = self._manifest(log, offsets, (*files, file_of(self.work / CARD, None)))
        write_manifest(self.work, manifest)
        return manifest

    def _write_rows(self, log: DecidedReading) -> list[str]:
        """Write the data files; returns their names."""
        texts = [TEXT_FORMATS[name] for name in (*self.options.formats, "lineage") if name in TEXT_FORMATS]
        writers: list[_Writer] = []
        with ExitStack() as unfinished:
            for text in texts:
                writers.append(TextFile(self.work, text))
                unfinished.callback(writers[-1].abort)
            if "parquet" in self.options.formats:
                writers.append(ParquetFile(self.work / PARQUET, scores=self.judged is not None))
                unfinished.callback(writers[-1].abort)
            rows = self._rows(log)
            while batch := tuple(islice(rows, ROWS_A_GROUP)):
                for writer in writers:
                    writer.write(batch)
            if self.excluded is not None:
                self.excluded.check(self.extent.through)
            for writer in writers:
                writer.close()
        return [*(text.file for text in texts[:-1]), *([PARQUET] if len(writers) > len(texts) else ()), texts[-1].file]

    def _rows(self, log: DecidedReading) -> Iterator[ExportRow]:
        read = 0
        for decided in log:
            self.totals.add(decided)
            for kept in decided.rows:
                if decided.generation is not None and self._wanted(kept):
                    self.totals.exported[kept.cluster] += 1
                    yield row(kept, decided.generation, self._score(kept))
            read += len(decided.rows)
            self.on_rows(read, self.extent.kept)

    def _wanted(self, kept: InstructionKept) -> bool:
        in_cluster = not self.options.clusters or kept.cluster in self.options.clusters
        if self.excluded is not None and self.excluded.has(kept.id):
            self.totals.excluded += in_cluster
            return False
        return in_cluster and self._good_enough(kept)

    def _good_enough(self, kept: InstructionKept) -> bool:
        """Whether the row has the score that is wanted; counts why not."""
        if self.judged is None or self.options.min_score is None:
            return True
        judged = self.judged[0]
        admitted = judged.admits(kept.id, self.options.min_score)
        if admitted is None:
            self.totals.unjudged += 1
        elif not admitted:
            unreadable = judged.scores[kept.id] is None
            self.totals.unreadable += unreadable
            self.totals.below += not unreadable
        return bool(admitted)

    def _score(self, kept: InstructionKept) -> float | msgspec.UnsetType:
        score = None if self.judged is None else self.judged[0].scores[kept.id]
        return msgspec.UNSET if score is None else score

    def _manifest(
        self, log: DecidedReading, offsets: tuple[CoveredOffsets, ...], files: tuple[ExportFile, ...]
    ) -> ExportManifest:
        excluded = self.excluded
        return ExportManifest(
            run=self.source.run,
            through=self.extent.through,
            first_time=log.first_time,
            last_time=log.last_time,
            rows=self.totals.rows,
            options=ExportRequest(
                formats=self.options.formats, clusters=self.options.clusters or None, license=self.options.license
            ),
            excluded=None
            if excluded is None
            else Excluded(sha256=excluded.sha256, ids=len(excluded.ids), rows=self.totals.excluded),
            withheld=self._withheld(),
            offsets=offsets,
            files=files,
            policy=self.configured.policy,
        )

    def _withheld(self) -> Withheld | msgspec.UnsetType:
        if self.judged is None or self.options.min_score is None:
            return msgspec.UNSET
        return Withheld(
            judge=self.judged[0].judge or "",
            min_score=self.options.min_score,
            below=self.totals.below,
            unreadable=self.totals.unreadable,
            unjudged=self.totals.unjudged,
        )


def _check_clusters(wanted: Sequence[int], clusters: int) -> None:
    wrong = [cluster for cluster in wanted if cluster >= clusters]
    if wrong:
        raise ConfigurationError(f"--cluster {wrong[0]} is not there: the run's clusters are 0 to {clusters - 1}.")
