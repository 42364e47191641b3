"""The yield study from its streams to its files, for `sedi eval study yield` and `python -m benchmarks yield`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from schemas.errors import ConfigurationError
from sedi.eval.studies.yield_streams import StreamRequest, sources_of

if TYPE_CHECKING:
    from consumers.evaluation.study_tables import StudyTable
    from consumers.yield_study.results import YieldStudy
    from consumers.yield_study.sides import SweepProgress


def studied(request: StreamRequest, progress: SweepProgress = lambda what, done, of: None) -> YieldStudy:
    """Decide the archived streams again under every side."""
    from consumers.yield_study.study import study_streams

    return study_streams(sources_of(request), request.kept, progress)


def tables_of(study: YieldStudy) -> tuple[StudyTable, ...]:
    """The study for the terminal."""
    from consumers.yield_study.tables import yield_tables

    return yield_tables(study)


def write_files(study: YieldStudy, folder: Path, page: Path | None = None) -> list[Path]:
    """Write yield.json, yield.md and the figures into the folder; and into a page that has a place for them.

    Raises ConfigurationError when they cannot be written.
    """
    from consumers.yield_study.page import measured, write_figures, write_page

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, text = folder / "yield.json", folder / "yield.md"
        file.write_bytes(msgspec.json.format(msgspec.json.encode(study)) + b"\n")
        text.write_text(measured(study), encoding="utf-8", newline="\n")
        written = [file, text, *write_figures(study, folder, "yield")]
    except OSError as error:
        raise ConfigurationError(
            f"The study could not be written to {folder}: {error}. Name another folder; no stream is made again."
        ) from error
    return written if page is None else [*written, *write_page(study, page)]
