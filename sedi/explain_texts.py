"""Texts of an explanation in one line each: cut, marked, or as bars.

Marked parts are underlined in a terminal and enclosed in ⟦ ⟧ elsewhere. Long texts are cut, with … at the cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from infra.visible import visible

if TYPE_CHECKING:
    from consumers.explain.schema.place import Span

TEXT = 300  # characters of a text that are shown
_AROUND = 160  # of a raw answer, on either side of the instruction
_SPARK = "▁▂▃▄▅▆▇█"
_POINTS = 48


def cut(text: str, most: int = TEXT) -> str:
    """At most so many characters of a text."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def around(raw: str, span: Span, *, terminal: bool) -> Text:
    """The answer around the span, which is marked."""
    start, end = max(0, span[0] - _AROUND), min(len(raw), span[1] + _AROUND)
    text = Text("…" if start else "")
    text.append_text(marked(raw[start:end], [(span[0] - start, span[1] - start)], terminal=terminal))
    return text.append("…" if end < len(raw) else "")


def marked(text: str, spans: Sequence[Span] | None, *, terminal: bool) -> Text:
    """The text with these spans marked; spans with only white space between them are joined."""
    line, at = Text(), 0
    for start, end in _joined(text, spans or ()):
        part = _in_line(text[start:end])
        line.append(_in_line(text[at:start]))
        line.append(part if terminal else f"⟦{part}⟧", style="bold underline")
        at = end
    return line.append(_in_line(text[at:]))


def sparkline(scores: Sequence[float]) -> str:
    """Scores from 0 to 1 as bars, with the first and the last."""
    return f"{bars(scores)} ({scores[0]:.2f} to {scores[-1]:.2f})"


def bars(heights: Sequence[float]) -> str:
    """Heights from 0 to 1 as bars of one line; of too many, each bar is the last of an equal share."""
    count = min(len(heights), _POINTS)
    points = [heights[(point + 1) * len(heights) // count - 1] for point in range(count)]
    return "".join(_SPARK[min(int(point * len(_SPARK)), len(_SPARK) - 1)] for point in points)


def _in_line(text: str) -> str:
    """The text in one line, without terminal control characters."""
    return visible(text.replace("\t", " ").replace("\n", "⏎"))


def _joined(text: str, spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
