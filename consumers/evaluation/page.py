"""A report of evaluations as one self-contained HTML page: drawings, tables, notes. No script, nothing fetched.

Everything from a log is escaped, control characters too. It has a light and a dark look and fits a narrow screen: wide
tables scroll by themselves. The same report gives the same bytes.
"""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from consumers.evaluation.drawing import benchmarks_svg, comparison_svg
from consumers.evaluation.notes import labels
from consumers.evaluation.results import EvaluationReport
from consumers.evaluation.tables import by_benchmark, pairs, tables
from consumers.html_page import document, html_table, write_html

_STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ddd; --faint: #555; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --back: #16181b; --line: #3a3d42; --faint: #a8abb0; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: var(--text); background: var(--back); }
h1, li, figcaption { overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 0 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide { overflow-x: auto; }
figure { margin: 0 0 2rem; } figcaption { font-weight: 600; }
svg { display: block; overflow: hidden; font-size: 13px; } svg text { fill: var(--text); }
svg .in { fill: #fff; } .win { fill: #2f7d57; } .tie { fill: #667079; } .lose { fill: #b3433f; }
.accuracy { fill: #4a7fb5; } svg line { stroke: var(--text); stroke-width: 1.5; }
.key { color: var(--faint); font-size: 13px; }
.note { color: var(--faint); }
"""


def write_evaluation_page(found: EvaluationReport, file: Path) -> None:
    """Write the page. Raises ConfigurationError when the file cannot be written."""
    write_html(evaluation_page(found), file)


def evaluation_page(found: EvaluationReport) -> str:
    shown = [html_table(table) for table in tables(found)]
    names = labels(found.models)
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in found.notes)
    parts = [*shown[:2], *_figures(found, names), *shown[2:]]
    if notes:
        parts.append(f'<h2>How to read this</h2>\n<ul class="note">\n{notes}\n</ul>')
    if not parts:
        parts = ["<p>There is no evaluation on this run's log.</p>"]
    return document(f"Evaluation: run {found.run}", _STYLE, parts)


def _figures(found: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    if found.benchmarks:
        title = "Benchmarks: accuracy, from 0 to 100 %"
        key = "The line through a bar's end is its 95 % interval."
        yield _figure(title, key, benchmarks_svg(by_benchmark(found.benchmarks), names))
    for title, scores in pairs(found.comparisons, names).items():
        if any(score.scored for score in scores):
            key = "From left to right: the first model wins, ties, loses."
            yield _figure(title, key, comparison_svg(scores))


def _figure(title: str, key: str, drawing: str) -> str:
    return f'<figure><figcaption>{escape(title)}</figcaption><p class="key">{escape(key)}</p>\n{drawing}</figure>'
