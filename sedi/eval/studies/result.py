"""A study's tables from its log, as text, JSON and a page."""

from __future__ import annotations

from pathlib import Path

import msgspec

from consumers.evaluation.cells import interval_in_percent
from consumers.evaluation.results import EvaluationReport, Interval
from consumers.evaluation.study_tables import StudyTable, figure7, figure9, figure10, table1, table2, table5
from consumers.html_page import Table
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.errors import ConfigurationError
from sedi.eval.studies.options import StudyOptions
from sedi.eval.studies.plans import BASE, generators


class StudyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A study.

    runs      names of the runs, its own log first
    tables    the paper's table or figure
    report    everything on the study's log; None for a study of runs alone
    files     what was written
    """

    study: str
    runs: tuple[str, ...]
    tables: tuple[StudyTable, ...]
    report: EvaluationReport | None
    files: tuple[str, ...]
    seconds: float


def study_tables(options: StudyOptions, settings: Settings) -> tuple[tuple[StudyTable, ...], EvaluationReport | None]:
    """The study's tables, and the report they are made of."""
    if options.name == "fig10":
        return tuple(_seeds(options, settings, side.name) for side in options.sides), None
    from consumers.evaluation.report import evaluation_report

    found = evaluation_report(KafkaSource(settings, options.prefix))
    names = [side.name for side in options.sides]
    match options.name:
        case "table1":
            return (table1(found, [*names, BASE]),), found
        case "table5":
            return (table5(found, [*names, BASE]),), found
        case "fig7":
            return (figure7(found, names[1], names[0]),), found
        case "table2":
            sides = [side.name for side, _ in generators(options)]
            pairs = [(name, f"{name}-small", f"{name}-large") for name in names]
            return (table2(found, pairs), table1(found, [*sides, BASE])), found
        case _:
            return (figure9(found),), found


def as_table(table: StudyTable) -> Table:
    """For the terminal and the page."""
    rows = tuple((name, *(_cell(cell) for cell in cells)) for name, cells in table.rows)
    return Table(table.title, ("", *table.columns), rows)


def write(result: StudyResult, folder: Path) -> None:
    """Write `<study>.json` and `<study>.md`. Raises ConfigurationError when they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{result.study}.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
        (folder / f"{result.study}.md").write_text(markdown(result), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"The study could not be written to {folder}: {error}. Give another --output; nothing is measured again."
        ) from error


def markdown(result: StudyResult) -> str:
    """The tables as Markdown."""
    from consumers.markdown import plain
    from consumers.markdown import table as markdown_table

    parts = []
    for table in result.tables:
        shown = as_table(table)
        notes = "".join(f"\n\n{plain(note)}" for note in table.notes)
        parts.append(f"## {plain(table.title)}\n\n{markdown_table(shown.columns, shown.rows)}{notes}")
    return "\n\n".join(parts) + "\n"


def _seeds(options: StudyOptions, settings: Settings, side: str) -> StudyTable:
    from consumers.folds.read_fold import FoldFolder, read_fold
    from consumers.seed_table import seed_rows

    run = options.run_of(side)
    return figure10(run, seed_rows(read_fold(KafkaSource(settings, run), FoldFolder(settings.state_dir))))


def _cell(cell: Interval | str | None) -> str:
    if cell is None:
        return "not measured"
    if isinstance(cell, str):
        return cell
    return interval_in_percent(cell)
