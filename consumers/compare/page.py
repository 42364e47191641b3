"""A comparison as one self-contained HTML page: tables, and figures as SVG. No script, nothing fetched.

Everything from a log is escaped, control characters too. The same comparison gives the same bytes.
"""

from html import escape
from pathlib import Path

from consumers.compare.comparison import Comparison
from consumers.compare.plots import CAPTIONS, FIGURES, svg
from consumers.compare.tables import tables
from consumers.html_page import document, html_table, write_html

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
    write_html(page(found), file)


def page(found: Comparison) -> str:
    """The page; of one run the tables by producer and strategy, without figures."""
    names = ", ".join(side.name for side in found.sides)
    findings = [] if found.producers is None else found.producers.extraction
    sentences = [f"<p>{escape(finding.words)}</p>" for finding in findings]
    if len(found.sides) == 1:
        return document(f"Run {names} by producer and strategy", _STYLE, [*map(html_table, tables(found)), *sentences])
    figures = "\n".join(
        f'<figure id="{name}" aria-label="{escape(CAPTIONS[name])}">{svg(found, name)}'
        f"<figcaption>{escape(CAPTIONS[name])}</figcaption></figure>"
        for name in FIGURES
    )
    overall, *others = map(html_table, tables(found))
    return document(
        f"Runs compared: {names}", _STYLE, [overall, f'<div class="figures">\n{figures}\n</div>', *others, *sentences]
    )
