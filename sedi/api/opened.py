"""A run opened for reading: what `sedi.open` returns, and what the command line reads runs with.

Every method reads the log as it is at that moment, closes what it read with, and changes nothing. It may be called from
a notebook: where an event loop runs in the calling thread, the reading is done in a thread of its own, because the
Kafka client brings its own loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from infra.log.closing import Closing
from schemas.errors import ConfigurationError, RunError
from schemas.topics import check_run_name
from sedi.options import DEFAULT_RUN, cluster_of, settings_of

if TYPE_CHECKING:
    import polars as pl

    from consumers.explain.schema.explanation import Explanation
    from consumers.export.answers import AnswerExportOptions
    from consumers.export.manifest import AnswersManifest, ExportManifest
    from consumers.export.run import ExportOptions
    from consumers.folds.read_fold import FoldFolder
    from consumers.replay import Audit, AuditExtent
    from consumers.report import Report
    from infra.log.source import Source

Found = TypeVar("Found")


def open(
    run: str | os.PathLike[str] | None = None,
    *,
    archive: str | os.PathLike[str] | None = None,
    bootstrap_servers: str | None = None,
    state_dir: str | os.PathLike[str] | None = None,
) -> OpenRun:
    """Open a run for reading: by its name on the cluster that the settings name, or from the folder of an archive.

    run                  the run's name (`demo` without one); a `pathlib.Path` is an archive's folder
    archive              the folder of an archive (`sedi archive`), instead of a run on the cluster
    bootstrap_servers, state_dir   settings that win over the environment and `sedi.toml`

    Raises ConfigurationError for a name or folder that is not right, BrokerError when no cluster answers. That there is
    no such run on the cluster is found when it is read (RunError).
    """
    if run is not None and archive is not None:
        raise ConfigurationError(f"{run!r} and the archive {archive} were both given. Open one of them.")
    if isinstance(run, os.PathLike):
        archive, run = run, None
    if archive is not None:
        from infra.log.archive import ArchiveSource

        return OpenRun(ArchiveSource(Path(archive)), _folder(bootstrap_servers, state_dir))
    name = DEFAULT_RUN if run is None else run
    if not isinstance(name, str):
        raise ConfigurationError(f"{name!r} is not the name of a run. Give a text, or sedi.open(archive=FOLDER).")
    if os.sep in name:
        raise ConfigurationError(f"{name!r} is a path, not the name of a run. For an archive: sedi.open(archive=...).")
    check_run_name(name)
    from infra.log.source import KafkaSource

    settings = cluster_of(bootstrap_servers, None if state_dir is None else Path(state_dir))
    return OpenRun(KafkaSource(settings, name), settings.state_dir)


def _folder(bootstrap_servers: str | None, state_dir: str | os.PathLike[str] | None) -> Path:
    return settings_of(bootstrap_servers, None if state_dir is None else Path(state_dir)).state_dir


class OpenRun(Closing):
    """A run, open for reading. A context manager; once closed it reads no more.

    The data frames' columns are described in `docs/python.md`. A frame is held in memory whole.

    state_dir   where snapshots are, with which `report` and `seeds` go on instead of reading all; None: without any
    notify      called once with a sentence when none can be written there
    """

    def __init__(
        self, source: Source, state_dir: Path | None = None, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        self._source: Source | None = source
        self._name = source.name
        self._state_dir = state_dir
        self.notify = notify

    @property
    def snapshots(self) -> FoldFolder | None:
        """Where the snapshots of the run's fold are."""
        from consumers.folds.read_fold import FoldFolder

        return None if self._state_dir is None else FoldFolder(self._state_dir, self.notify)

    @property
    def source(self) -> Source:
        """The log itself. Raises RunError once this is closed."""
        if self._source is None:
            raise RunError(f"{self._name} was closed. Open it again with sedi.open.")
        return self._source

    @property
    def run(self) -> str:
        """The run's name."""
        return self.source.run

    @property
    def name(self) -> str:
        """The run and where it is read from, for messages."""
        return self._name

    def kept(self) -> pl.DataFrame:
        """A row for each kept instruction, in the run's order; the rows that `sedi export` writes.

        In a run that answers kept instructions alone, also those that wait for their answer or whose answer is not
        used; their columns say so.

        Raises RunError when the books are not in order.
        """
        from sedi.api.frames import kept_frame

        return self._read(kept_frame)

    def rejected(self) -> pl.DataFrame:
        """A row for each rejected instruction, in the run's order, with the reason.

        Raises RunError when the books are not in order.
        """
        from sedi.api.frames import rejected_frame

        return self._read(rejected_frame)

    def seeds(self) -> pl.DataFrame:
        """A row for each seed that is or was in the pool, with its score."""
        from sedi.api.frames import seeds_frame

        return self._read(lambda source: seeds_frame(source, self.snapshots))

    def calls(self) -> pl.DataFrame:
        """A row for each attempt at an LLM call: how it ended, its tokens and its cost."""
        from sedi.api.frames import calls_frame

        return self._read(calls_frame)

    def training(self) -> pl.DataFrame:
        """A row for each optimizer step, with what the feedback made of its window."""
        from sedi.api.frames import training_frame

        return self._read(training_frame)

    def documents(self) -> pl.DataFrame:
        """A row for each document of the run's corpus: dropped or not, withdrawn or not, and the rows kept from it.

        Raises RunError when the books are not in order.
        """
        from sedi.api.document_frames import documents_frame

        return self._read(documents_frame)

    def measured(self) -> pl.DataFrame:
        """A row for each benchmark question that a model was measured on, with its log-likelihoods."""
        from sedi.api.evaluation_frames import measured_frame

        return self._read(measured_frame)

    def answers(self) -> pl.DataFrame:
        """A row for each answer of an evaluated model to a prompt."""
        from sedi.api.evaluation_frames import answers_frame

        return self._read(answers_frame)

    def judgements(self) -> pl.DataFrame:
        """A row for each reading of such answers by a judge: of two in one order, or of one."""
        from sedi.api.evaluation_frames import judgements_frame

        return self._read(judgements_frame)

    def report(self, *, seeds: bool = False) -> Report:
        """What the run made and what it cost, with a row for each seed in the pool if `seeds`."""
        from consumers.report import report

        return self._read(lambda source: report(source, seeds=seeds, snapshots=self.snapshots))

    def explain(self, id: str, *, progress: Callable[[int], None] | None = None) -> Explanation:
        """The story of the instruction, seed, generation, request or document with this id, or one that begins so.

        Also of a question, answer or judgement of an evaluation, and of a model by its name or key.

        `progress` is called with how many more records were read. Raises RunError when nothing, or several, fit.
        """
        from consumers.explain.story import explain
        from sedi.rebuilt_prompts import with_prompts

        return self._read(lambda source: with_prompts(explain(source, id, progress or _nobody)))

    def replay(
        self,
        extent: AuditExtent | None = None,
        *,
        jobs: int = 1,
        reference: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Audit:
        """Decide the run again and compare with what was recorded: the audit. `divergences` is 0 for a sound log.

        extent      from where to where; default: all of it
        jobs        processes; in a script more than one needs the usual `if __name__ == "__main__":`
        reference   score so many of the verdicts with the rouge_score package too
        progress    called with (done, of how many), of the deciding and then of the scoring
        """
        from consumers.replay import audit

        def decide(source: Source) -> Audit:
            found = audit(source, extent, jobs=jobs, progress=progress or _nobody)
            if not reference:
                return found
            from consumers.replay.reference import with_reference

            return with_reference(found, source, reference, progress or _nobody)

        return self._read(decide)

    def export(
        self,
        folder: str | os.PathLike[str],
        options: ExportOptions | None = None,
        *,
        also: Sequence[OpenRun] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportManifest:
        """Write the kept rows as data sets into a folder that is not there yet, as `sedi export` does.

        also   further runs whose rows join, as with `--also-run`
        """
        from consumers.export.run import ExportOptions, export

        chosen, others = options or ExportOptions(), [run.source for run in also]
        return self._read(lambda source: export(source, Path(folder), chosen, progress or _nobody, also=others))

    def export_answers(
        self,
        folder: str | os.PathLike[str],
        options: AnswerExportOptions | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> AnswersManifest:
        """Write models' answers into a folder that is not there yet, as `sedi export --what answers` does."""
        from consumers.export.answers import AnswerExportOptions, export_answers

        chosen = options or AnswerExportOptions()
        return self._read(lambda source: export_answers(source, Path(folder), chosen, progress or _nobody))

    def close(self) -> None:
        """Read no more."""
        self._source = None

    def __repr__(self) -> str:
        return f"<sedi.OpenRun {self._name}{' (closed)' if self._source is None else ''}>"

    def _read(self, read: Callable[[Source], Found]) -> Found:
        source = self.source
        if not _in_event_loop():
            return read(source)
        with ThreadPoolExecutor(1, thread_name_prefix="sedi-reading") as thread:
            return thread.submit(read, source).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _nobody(*_: int) -> None:
    """Progress that nobody looks at."""
