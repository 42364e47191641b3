"""An export of kept rows from beginning to end.

All formats are written in one pass over the log. Memory holds a batch of rows for each format, what the reading
fetched ahead, and the ids of withdrawn documents.

Rows that were made from a withdrawn document are left out. Rows that came from such a row as a seed are not: `sedi
withdraw` lists them for `exclude`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, get_args

import msgspec

from consumers.export.card import CARD, card
from consumers.export.decided import DecidedExtent, DecidedReading, configured, extent
from consumers.export.exclusion import Exclusion
from consumers.export.folder import complete_folder, require_new
from consumers.export.formats import TEXT_FORMATS, TextFile
from consumers.export.manifest import (
    CoveredOffsets,
    Excluded,
    ExportManifest,
    ExportRequest,
    LeftOutWithDocuments,
    Withheld,
    file_of,
    write_manifest,
)
from consumers.export.parquet import ROWS_A_GROUP, ParquetFile
from consumers.export.rows import ExportRow, row
from consumers.export.totals import ExportTotals
from consumers.folds.documents import TOPIC as DOCUMENTS
from consumers.folds.documents import Withdrawals, read_withdrawals
from consumers.folds.judgements import judgements
from infra.log.source import Source
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept, InstructionsGenerated
from streams.core.judging import Judgements

Format = Literal["alpaca", "sharegpt", "openai", "trl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
PARQUET = "rows.parquet"

OnRows = Callable[[int, int], None]
"""Called now and then with (kept rows read, kept rows in all)."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    through    the last offset of `generated`; None for the last decided one
    exclude    a file of instruction ids to leave out, one a line
    clusters   only these; none for all
    license    as the data card names it
    min_score  only rows that a judge gave at least this; None for all
    judge      the judge's name; None for the only one
    judged_through   the last offset of `judged` that counts; None for the last
    documents_through   the last offset of `documents` whose withdrawals count; None for the last
    """

    formats: tuple[Format, ...] = ("alpaca",)
    through: int | None = None
    exclude: Path | None = None
    clusters: tuple[int, ...] = ()
    license: str = "unknown"
    min_score: float | None = None
    judge: str | None = None
    judged_through: int | None = None
    documents_through: int | None = None

    def __post_init__(self) -> None:
        # in one order, so that equal options give equal files
        object.__setattr__(self, "formats", tuple(name for name in FORMATS if name in self.formats))
        object.__setattr__(self, "clusters", tuple(sorted(set(self.clusters))))


class _Writer(Protocol):
    def write(self, rows: Sequence[ExportRow]) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def export(
    source: Source, folder: Path, options: ExportOptions, on_rows: OnRows = lambda done, total: None
) -> ExportManifest:
    """Write the run's kept rows into `folder`, which must not exist yet.

    Raises ConfigurationError for wrong options and a folder that cannot be written, RunError when the run is not
    configured, is not decided up to `through` or its books are not in order. Then nothing is left behind.
    """
    require_new(folder)
    excluded = None if options.exclude is None else Exclusion.read(options.exclude)
    settings, run_offset = configured(source)
    _check_clusters(options.clusters, settings.policy.clusters)
    reach = extent(source, options.through)
    used = {("run", 0): (run_offset, run_offset + 1)}
    documents = read_withdrawals(source, options.documents_through)
    if documents.end > documents.start:
        used[DOCUMENTS, 0] = documents.start, documents.end
    with complete_folder(folder) as work:
        scores = None
        if options.min_score is not None:
            scores, end = judgements(source, options.judge, options.judged_through)
            used["judged", 0] = 0, end
        selection = _Selection(options, excluded, documents, scores, ExportTotals())
        with source.open(DecidedReading.topics) as reading:
            starts = reading.starts()
            log = DecidedReading(reading, reach.through)
            names = _Job(options, reach, selection, work, on_rows).write(log)
        used |= {place: (starts[place], end) for place, end in log.covered.items()}
        manifest = ExportManifest(
            run=source.run,
            through=reach.through,
            first_time=log.first_time,
            last_time=log.last_time,
            rows=selection.totals.rows,
            options=ExportRequest(formats=options.formats, clusters=options.clusters or None, license=options.license),
            excluded=selection.excluded_rows(),
            withheld=selection.withheld_rows(),
            withdrawn=selection.withdrawn_rows(),
            offsets=tuple(
                CoveredOffsets(topic=topic, partition=partition, start=start, end=end)
                for (topic, partition), (start, end) in sorted(used.items())
            ),
            files=tuple(file_of(work / name, selection.totals.rows) for name in names),
            policy=settings.policy,
        )
        (work / CARD).write_text(card(manifest, settings, selection.totals), encoding="utf-8", newline="\n")
        files = (*manifest.files, file_of(work / CARD, None))
        manifest = msgspec.structs.replace(manifest, files=files)
        write_manifest(work, manifest)
    return manifest


@dataclass
class _Selection:
    """Which kept rows are exported; counts the others."""

    options: ExportOptions
    excluded: Exclusion | None
    documents: Withdrawals
    judgements: Judgements | None
    totals: ExportTotals

    def has(self, kept: InstructionKept, generation: InstructionsGenerated) -> bool:
        in_cluster = not self.options.clusters or kept.cluster in self.options.clusters
        if self.excluded is not None and self.excluded.has(kept.id):
            self.totals.excluded += in_cluster
            return False
        if generation.segment is not None and generation.segment.document_id in self.documents.offsets:
            self.totals.withdrawn += in_cluster
            return False
        return in_cluster and self._admits(kept)

    def score(self, kept: InstructionKept) -> float | msgspec.UnsetType:
        """The judge's score of a selected row."""
        score = None if self.judgements is None else self.judgements.scores[kept.id]
        return msgspec.UNSET if score is None else score

    def excluded_rows(self) -> Excluded | None:
        if self.excluded is None:
            return None
        return Excluded(sha256=self.excluded.sha256, ids=len(self.excluded.ids), rows=self.totals.excluded)

    def withheld_rows(self) -> Withheld | msgspec.UnsetType:
        if self.judgements is None or self.options.min_score is None:
            return msgspec.UNSET
        return Withheld(
            judge=self.judgements.judge or "",
            min_score=self.options.min_score,
            below=self.totals.below,
            unreadable=self.totals.unreadable,
            unjudged=self.totals.unjudged,
        )

    def withdrawn_rows(self) -> LeftOutWithDocuments | msgspec.UnsetType:
        documents = self.documents
        if documents.end == documents.start:
            return msgspec.UNSET
        return LeftOutWithDocuments(
            through=documents.end - 1, documents=len(documents.offsets), rows=self.totals.withdrawn
        )

    def _admits(self, kept: InstructionKept) -> bool:
        if self.judgements is None or self.options.min_score is None:
            return True
        admitted = self.judgements.admits(kept.id, self.options.min_score)
        if admitted is None:
            self.totals.unjudged += 1
        elif not admitted:
            unreadable = self.judgements.scores[kept.id] is None
            self.totals.unreadable += unreadable
            self.totals.below += not unreadable
        return bool(admitted)


@dataclass
class _Job:
    """One pass over the log, into the folder `work`."""

    options: ExportOptions
    extent: DecidedExtent
    selection: _Selection
    work: Path
    on_rows: OnRows

    def write(self, log: DecidedReading) -> list[str]:
        """Write the data files; returns their names."""
        texts = [TEXT_FORMATS[name] for name in (*self.options.formats, "lineage") if name in TEXT_FORMATS]
        writers: list[_Writer] = []
        with ExitStack() as unfinished:
            for text in texts:
                writers.append(TextFile(self.work, text))
                unfinished.callback(writers[-1].abort)
            if "parquet" in self.options.formats:
                writers.append(ParquetFile(self.work / PARQUET, scores=self.selection.judgements is not None))
                unfinished.callback(writers[-1].abort)
            rows = self._rows(log)
            while batch := tuple(islice(rows, ROWS_A_GROUP)):
                for writer in writers:
                    writer.write(batch)
            if self.selection.excluded is not None:
                self.selection.excluded.check(self.extent.through)
            for writer in writers:
                writer.close()
        return [*(text.file for text in texts[:-1]), *([PARQUET] if len(writers) > len(texts) else ()), texts[-1].file]

    def _rows(self, log: DecidedReading) -> Iterator[ExportRow]:
        read, selection = 0, self.selection
        for decided in log:
            selection.totals.add(decided)
            for kept in decided.rows:
                if decided.generation is not None and selection.has(kept, decided.generation):
                    selection.totals.exported[kept.cluster] += 1
                    yield row(kept, decided.generation, selection.score(kept))
            read += len(decided.rows)
            self.on_rows(read, self.extent.kept)


def _check_clusters(wanted: Sequence[int], clusters: int) -> None:
    wrong = [cluster for cluster in wanted if cluster >= clusters]
    if wrong:
        raise ConfigurationError(f"There is no --cluster {wrong[0]}: the run's clusters are 0 to {clusters - 1}.")
