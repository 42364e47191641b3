"""Drawings of an evaluation as inline SVG: win, tie and lose as bars per set (as in Fig. 7), and accuracies.

They have no view box: places across are percentages and text has its own size, so a narrow screen narrows the bars and
not the letters. Every number is in the text too. Colours come from the page's style.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from consumers.evaluation.cells import percent_interval, shortened
from consumers.evaluation.results import BenchmarkScore, ComparisonScore, Interval

_BAR = 18  # height of a bar, in pixels
_ROW = 46  # of a bar with the line above it
_DIGIT = 2.5  # percent of the width that a digit needs
_LONGEST = 60  # characters of a name

OUTCOMES = ("win", "tie", "lose")


def comparison_svg(scores: Sequence[ComparisonScore]) -> str:
    """A bar for each set with scored prompts: shares of win, tie and lose of the first model, from left to right."""
    return _svg([_comparison_row(score) for score in scores if score.scored])


def benchmarks_svg(scores: Sequence[BenchmarkScore], names: Mapping[str, str]) -> str:
    """A bar for each model and benchmark, from 0 to 100 % accuracy, with the interval as a line through its end."""
    rows = []
    for score in scores:
        title, model = shortened(score.title, _LONGEST), shortened(names[score.model], _LONGEST)
        line = f"{title}: {percent_interval(score.accuracy)} · {model}"
        rows.append(_Row(line, _bar("accuracy", 0.0, score.accuracy.value) + _whisker(score.accuracy)))
    return _svg(rows)


class _Row(NamedTuple):
    """A line of text, and the bar beneath it as SVG whose top is 0."""

    text: str
    bar: str


def _comparison_row(score: ComparisonScore) -> _Row:
    counts = score.win, score.tie, score.lose
    words = ", ".join(f"{count:,} {name}" for name, count in zip(OUTCOMES, counts, strict=True))
    rate = f"; win rate {percent_interval(score.win_rate)}" if score.win_rate is not None else ""
    bar, done = "", 0
    for name, count in zip(OUTCOMES, counts, strict=True):
        bar += _bar(name, done / score.scored, count / score.scored, f"{count:,}")
        done += count
    return _Row(f"{words} of {score.scored:,}{rate} · {shortened(score.set, _LONGEST)}", bar)


def _bar(kind: str, start: float, share: float, number: str = "") -> str:
    """A part of a bar; with its number in it where there is room."""
    if share <= 0:
        return ""
    box = f'<rect class="{kind}" x="{100 * start:.2f}%" y="0" width="{100 * share:.2f}%" height="{_BAR}"></rect>'
    if not number or 100 * share < _DIGIT * (len(number) + 1):
        return box
    return f'{box}<text class="in" x="{100 * (start + share / 2):.2f}%" y="13" text-anchor="middle">{number}</text>'


def _whisker(found: Interval) -> str:
    low, high = f"{100 * found.low:.2f}%", f"{100 * found.high:.2f}%"
    return "".join(
        f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"></line>'
        for x1, x2, y1, y2 in ((low, high, 9, 9), (low, low, 5, 13), (high, high, 5, 13))
    )


def _svg(rows: Sequence[_Row]) -> str:
    drawn = "".join(
        f'<text x="0" y="{place * _ROW + 14}">{escape(row.text)}</text>'
        f'<svg y="{place * _ROW + 20}" width="100%" height="{_BAR}">{row.bar}</svg>'
        for place, row in enumerate(rows)
    )
    height = max(1, len(rows)) * _ROW
    return f'<svg width="100%" height="{height}">{drawn}</svg>'
