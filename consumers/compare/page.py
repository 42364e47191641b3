"""A comparison as one self-contained HTML page: tables, and figures as SVG. No script, nothing fetched.

Everything from a log is escaped, control characters too. The same comparison gives the same bytes.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from consumers.compare.comparison import Comparison
from consumers.compare.plots import CAPTIONS, FIGURES, svg
from consumers.compare.tables import Table, tables
from infra.visible import visible
from schemas.errors import ConfigurationError

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 0 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; } figcaption { font-size: 13px; color: #555; }
.wide { overflow-x: auto; }
"""


def write_page(found: Comparison, file: Path) -> None:
    """Write the page. Raises ConfigurationError when the file cannot be written."""
    try:
        file.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The page could not be written to {file}: {error}.") from error


def page(found: Comparison) -> str:
    """The page."""
    title = "Runs compared: " + ", ".join(side.name for side in found.sides)
    figures = "\n".join(
        f'<figure id="{name}" aria-label="{escape(CAPTIONS[name])}">{svg(found, name)}'
        f"<figcaption>{escape(CAPTIONS[name])}</figcaption></figure>"
        for name in FIGURES
    )
    shown = tables(found)
    whole = "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            _table(shown[0]),
            f'<div class="figures">\n{figures}\n</div>',
            *(_table(table) for table in shown[1:]),
            "</body>\n</html>\n",
        ]
    )
    return visible(whole)


def _table(table: Table) -> str:
    head = _row(table.columns, table.columns, "th") if any(table.columns) else ""
    body = "\n".join(_row(table.columns, row, "td") for row in table.rows)
    return f'<div class="wide"><table><caption>{escape(table.title)}</caption>\n{head}\n{body}\n</table></div>'


def _row(columns: Sequence[str], cells: Iterable[str], tag: str) -> str:
    written = (
        f'<{tag} class="number">{escape(cell.removeprefix("#") if tag == "th" else cell)}</{tag}>'
        if column.startswith("#")
        else f"<{tag}>{escape(cell)}</{tag}>"
        for column, cell in zip(columns, cells, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
