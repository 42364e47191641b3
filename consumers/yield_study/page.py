"""The study in a page of Markdown: tables and sentences between two marks, and the figures beside the page."""

from pathlib import Path

from consumers.evaluation.study_tables import StudyTable
from consumers.markdown import plain, table
from consumers.yield_study.drawing import FIGURES, svg
from consumers.yield_study.results import YieldStudy
from consumers.yield_study.tables import yield_tables
from schemas.errors import ConfigurationError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write_page(study: YieldStudy, page: Path) -> list[Path]:
    """Put the study between the marks of a page that has them, and the figures beside it as `<page>-<figure>.svg`.

    Raises ConfigurationError when there is no such page, it lacks the marks, or it cannot be written.
    """
    try:
        text = page.read_text(encoding="utf-8")
        before, begun, rest = text.partition(BEGIN)
        _, ended, after = rest.partition(END)
        if not begun or not ended:
            raise ConfigurationError(f"{page} has no place for the study. Write {BEGIN} and {END} where it is to go.")
        page.write_text(f"{before}{BEGIN}\n\n{measured(study)}\n{END}{after}", encoding="utf-8", newline="\n")
        return [page, *write_figures(study, page.parent, page.stem)]
    except OSError as error:
        raise ConfigurationError(f"{page} could not be written: {error}. Name a page that is there.") from error


def write_figures(study: YieldStudy, folder: Path, stem: str) -> list[Path]:
    """Write `<stem>-<figure>.svg` into a folder."""
    files = [folder / f"{stem}-{name}.svg" for name in FIGURES]
    for name, file in zip(FIGURES, files, strict=True):
        file.write_bytes(svg(study, name))
    return files


def measured(study: YieldStudy) -> str:
    """Tables and sentences as Markdown."""
    return "\n".join(_section(each) for each in yield_tables(study))


def _section(found: StudyTable) -> str:
    rows = [(name, *(str(cell) for cell in cells)) for name, cells in found.rows]
    notes = "".join(f"\n{_item(note, len(found.notes))}" for note in found.notes)
    return f"**{plain(found.title)}**\n\n{table(('', *found.columns), rows)}\n{notes}\n"


def _item(note: str, of: int) -> str:
    return f"- {plain(note)}" if of > 1 else plain(note)
