"""Parts of a self-contained HTML page: no script, nothing fetched, every text escaped, control characters too."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from infra.visible import visible
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class Table:
    """Columns whose name begins with '#' hold numbers; the sign is not shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def document(title: str, style: str, parts: Iterable[str]) -> str:
    """A page with this title as its heading. `style` and `parts` are HTML; the title is text."""
    whole = "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</body>\n</html>\n",
        ]
    )
    return visible(whole)


def html_table(table: Table) -> str:
    """A table that scrolls by itself when it is too wide."""
    head = _row(table.columns, table.columns, "th") if any(table.columns) else ""
    body = "\n".join(_row(table.columns, row, "td") for row in table.rows)
    return f'<div class="wide"><table><caption>{escape(table.title)}</caption>\n{head}\n{body}\n</table></div>'


def write_html(text: str, file: Path) -> None:
    """Write a page. Raises ConfigurationError when the file cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The page could not be written to {file}: {error}.") from error


def _row(columns: Sequence[str], cells: Iterable[str], tag: str) -> str:
    written = (
        f'<{tag} class="number">{escape(cell.removeprefix("#") if tag == "th" else cell)}</{tag}>'
        if column.startswith("#")
        else f"<{tag}>{escape(cell)}</{tag}>"
        for column, cell in zip(columns, cells, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
