"""What `sedi export` prints of an export."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from consumers.export.manifest import Added, AddedFile, AddedRun, ExportFile, ExportManifest
from sedi.output import console, table


def show_export(manifest: ExportManifest, folder: Path, seconds: float) -> None:
    """Print the files of an export of rows, its sources, and what was left out of each run."""
    show_files(f"{folder}: run {manifest.run}, generated up to offset {manifest.through}", manifest.files)
    added = None if isinstance(manifest.added, msgspec.UnsetType) else manifest.added
    if added is not None:
        _show_sources(manifest.run, added)
    by_id = [] if manifest.excluded is None else [f"{manifest.excluded.rows:,} left out by id"]
    left_out = [*by_id, *_left_out(manifest)]
    if added is not None and left_out:
        console().print(f"of {manifest.run}: {', '.join(left_out)}")
    for one in () if added is None else added.runs:
        if of_run := _left_out(one):
            console().print(f"of {one.origin}: {', '.join(of_run)}")
    alone = left_out if added is None else []
    console().print(f"{', '.join([f'{manifest.rows:,} rows', *alone])}, in {seconds:.1f} s")


def _left_out(of: ExportManifest | AddedRun) -> list[str]:
    """What is missing of a run, in words."""
    withdrawn, unanswered, withheld = of.withdrawn, of.unanswered, of.withheld
    found = []
    if not isinstance(withdrawn, msgspec.UnsetType):
        elsewhere = 0 if isinstance(withdrawn.elsewhere, msgspec.UnsetType) else withdrawn.elsewhere
        if documents := withdrawn.documents + elsewhere:
            found.append(f"{withdrawn.rows:,} left out with {documents:,} withdrawn documents")
    if not isinstance(unanswered, msgspec.UnsetType):
        unused = sum(unanswered.unused.values())
        found += [f"{unanswered.waiting:,} waiting for their answer", f"{unused:,} with an answer not used"]
    if not isinstance(withheld, msgspec.UnsetType):
        found += [
            f"{withheld.below:,} withheld for their score",
            f"{withheld.unreadable:,} without one",
            f"{withheld.unjudged:,} not judged",
        ]
    return found


def _show_sources(run: str, added: Added) -> None:
    rows = [(run, f"{added.run_rows:,}", "", "")]
    sources: list[AddedRun | AddedFile] = [*added.runs, *added.files]
    rows += [(one.origin, f"{one.rows:,}", f"{one.duplicates:,}", f"{one.similar:,}") for one in sources]
    console().print(table("Sources", ("source", "#rows", "#equal to an earlier row", "#too similar"), rows))


def show_files(title: str, files: Sequence[ExportFile]) -> None:
    """Print a table of an export's files."""
    rows = [
        (file.name, "" if file.rows is None else f"{file.rows:,}", f"{file.bytes:,}", file.sha256) for file in files
    ]
    console().print(table(title, ("file", "#rows", "#bytes", "SHA-256"), rows))
