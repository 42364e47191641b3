"""The rows that an export takes from a run, in one pass over what is decided.

`open_run` finds out how far the run is decided, before anything is written. Memory holds one generation, what the
reading fetched ahead, and the ids of withdrawn documents. Rows that were made from a withdrawn document are left out,
and rows without an answer that is used, where instructions are answered after they are kept.
Rows that came from such a row as a seed are not: `sedi withdraw` lists them for `exclude`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from consumers.export.decided import DecidedExtent, DecidedReading, configured, extent
from consumers.export.exclusion import Exclusion
from consumers.export.manifest import CoveredOffsets
from consumers.export.options import ExportOptions
from consumers.export.rows import ExportRow, row
from consumers.export.selection import RowSelection
from consumers.export.totals import ExportTotals
from consumers.folds.documents import TOPIC as DOCUMENTS
from consumers.folds.documents import read_withdrawals
from consumers.folds.judgements import judgements
from infra.log.record import Partition
from infra.log.source import Source
from schemas.errors import ConfigurationError
from schemas.events import RunConfigured


@dataclass
class RunRows:
    """A run's rows. Read them once; what was used and counted is complete then.

    used    records [start, end) of each partition that were used
    first_time, last_time   of the first generation and the last verdict that are covered; None without one
    """

    source: Source
    settings: RunConfigured
    extent: DecidedExtent
    selection: RowSelection
    used: dict[Partition, tuple[int, int]]
    first_time: str | None = None
    last_time: str | None = None

    def read(
        self, on_read: Callable[[int], None], origin: str | msgspec.UnsetType = msgspec.UNSET
    ) -> Iterator[ExportRow]:
        """The rows, in the order in which they were decided; `on_read` is called with kept rows read.

        Raises RunError when the run's books are not in order.
        """
        selection = self.selection
        with self.source.open(DecidedReading.topics_of(self.settings.policy)) as reading:
            starts = reading.starts()
            log = DecidedReading(reading, self.extent.through)
            for decided in log:
                selection.totals.add(decided)
                for kept in decided.rows:
                    answer = decided.answers.get(kept.id)
                    if decided.generation is not None and selection.has(kept, decided.generation, answer):
                        selection.totals.exported[kept.cluster] += 1
                        yield row(kept, decided.generation, selection.score(kept), origin, answer)
                on_read(len(decided.rows))
            self.used |= {place: (starts[place], end) for place, end in log.covered.items()}
            self.first_time, self.last_time = log.first_time, log.last_time
        if selection.excluded is not None:
            selection.excluded.check(self.extent.through)

    def offsets(self) -> tuple[CoveredOffsets, ...]:
        """What is covered."""
        return tuple(
            CoveredOffsets(topic=topic, partition=partition, start=start, end=end)
            for (topic, partition), (start, end) in sorted(self.used.items())
        )


def open_run(source: Source, options: ExportOptions) -> RunRows:
    """A run that is decided as far as the options say.

    Raises ConfigurationError for wrong options, RunError when the run is not configured, not decided up to `through`,
    or not judged.
    """
    excluded = None if options.exclude is None else Exclusion.read(options.exclude)
    settings, run_offset = configured(source)
    _check_clusters(options.clusters, settings.policy.clusters)
    reach = extent(source, options.through)
    used = {("run", 0): (run_offset, run_offset + 1)}
    documents = read_withdrawals(source, options.documents_through)
    if documents.end > documents.start:
        used[DOCUMENTS, 0] = documents.start, documents.end
    scores = None
    if options.min_score is not None:
        scores, end = judgements(source, options.judge, options.judged_through)
        used["judged", 0] = 0, end
    answered_apart = settings.policy.answer == "kept"
    selection = RowSelection(options, excluded, documents, scores, ExportTotals(), answered_apart)
    return RunRows(source, settings, reach, selection, used)


def _check_clusters(wanted: Sequence[int], clusters: int) -> None:
    wrong = [cluster for cluster in wanted if cluster >= clusters]
    if wrong:
        raise ConfigurationError(f"There is no --cluster {wrong[0]}: the run's clusters are 0 to {clusters - 1}.")
