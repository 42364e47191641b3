"""A comparison as figures: the same ones for a page (SVG) and for a folder (PNG).

The same comparison gives the same bytes with the same matplotlib: no date, no random ids. Text in an SVG stays text, so
that it can be searched and read aloud; the font is the reader's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.compare.comparison import Comparison
from consumers.compare.side import Point, Side
from infra.plotting import matplotlib
from infra.visible import visible
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#5b6b7a", "#d9792b", "#3a7d5d", "#8a4f9e", "#b3433f", "#2b7fb8", "#a08a2c", "#444444")
_STYLES = ("-", "--", "-.", ":")
_LONGEST = 48  # characters of a name in a figure

FIGURES = ("yield", "calls", "cost", "tokens", "rejected", "similarity", "words", "clusters", "seeds")

CAPTIONS = {
    "yield": "Yield (kept / generated): of each interval of the run (line), and of all up to there (dotted).",
    "calls": "Answered LLM calls over kept instructions.",
    "cost": "Cost over kept instructions; runs with an answer of unknown cost are left out.",
    "tokens": "Prompt and completion tokens over kept instructions; runs without usage are left out.",
    "rejected": "Rejected instructions by reason, as a share of the generated ones.",
    "similarity": "Similarity (ROUGE-L F) of kept instructions to the nearest kept before, in intervals of a sample.",
    "words": "Distinct root verbs, objects and pairs of the two among the kept, guessed without a parser.",
    "clusters": "Kept instructions by cluster, largest first, as a share of all kept.",
    "seeds": "Scores of the seeds (kept / generated of the generations they were shown in), lowest first.",
}


def svg(found: Comparison, name: str) -> str:
    """A figure as SVG, for a page."""
    file = io.StringIO()
    # Ids of clip paths are hashes with a random salt unless one is given; pages hold several figures.
    with matplotlib().rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        _figure(found, name).savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()[file.getvalue().index("<svg") :]


def write_plots(found: Comparison, folder: Path) -> list[Path]:
    """Write each figure as a PNG of its name into the folder, created if needed. Raises ConfigurationError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FIGURES:
            file = folder / f"{name}.png"
            _figure(found, name).savefig(file, dpi=150, metadata={"Software": None})
            written.append(file)
    except OSError as error:
        raise ConfigurationError(f"Plots could not be written to {folder}: {error}.") from error
    return written


def _figure(found: Comparison, name: str) -> Figure:
    figure: Figure = matplotlib().figure.Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    _DRAWN[name](axes, found)
    axes.grid(visible=True, alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
    return figure


def _look(place: int) -> dict[str, Any]:
    return {"color": _COLOURS[place % len(_COLOURS)], "linestyle": _STYLES[place // len(_COLOURS) % len(_STYLES)]}


def _label(side: Side) -> str:
    # matplotlib leaves names with a leading underscore out of the legend, and takes dollar signs for mathematics
    return _plain(f"run {side.name}")


def _plain(text: str) -> str:
    """Text that matplotlib draws verbatim and finds room for: no control characters, no formulas, not too long."""
    return visible(text)[:_LONGEST].replace("$", r"\$")


def _yield(axes: Axes, found: Comparison) -> None:
    for place, side in enumerate(found.sides):
        points = side.curve
        every = max(1, len(points) // 25)
        intervals = [Point(generated=0, kept=0, calls=0, tokens=0, usd=0.0), *points[every - 1 :: every]]
        ratios = [
            (b.generated, (b.kept - a.kept) / (b.generated - a.generated))
            for a, b in pairwise(intervals)
            if b.generated > a.generated
        ]
        axes.plot([at for at, _ in ratios], [ratio for _, ratio in ratios], label=_label(side), **_look(place))
        overall = [(point.generated, point.kept / point.generated) for point in points if point.generated]
        colour = _look(place)["color"]
        axes.plot([at for at, _ in overall], [ratio for _, ratio in overall], color=colour, linestyle=":", alpha=0.8)
    axes.set(xlabel="generated", ylabel="kept / generated", ylim=(0, 1))


def _over_kept(values_of: Callable[[Side], list[Any]], label: str) -> Callable[[Axes, Comparison], None]:
    def draw(axes: Axes, found: Comparison) -> None:
        for place, side in enumerate(found.sides):
            values = values_of(side)
            if None not in values:
                axes.plot([point.kept for point in side.curve], values, label=_label(side), **_look(place))
        axes.set(xlabel="kept", ylabel=label, ylim=(0, None))

    return draw


def _rejected(axes: Axes, found: Comparison) -> None:
    reasons = sorted({reason for side in found.sides for reason in side.rejected})
    shares = [[side.rejected.get(reason, 0) / max(1, side.generated) for reason in reasons] for side in found.sides]
    _bars(axes, found, reasons, shares)
    axes.set(ylabel="share of generated")


def _words(axes: Axes, found: Comparison) -> None:
    counted = [side.diversity.words for side in found.sides]
    _bars(axes, found, ["verbs", "objects", "pairs"], [[w.verbs, w.objects, w.pairs] for w in counted])
    axes.set(ylabel="distinct among the kept")


def _clusters(axes: Axes, found: Comparison) -> None:
    # runs number their clusters independently, so clusters of the same number have nothing in common
    for place, side in enumerate(found.sides):
        shares = [size / max(1, side.kept) for size in sorted(side.clusters, reverse=True)]
        axes.plot(range(1, len(shares) + 1), shares, marker=".", label=_label(side), **_look(place))
    axes.set(xlabel="cluster, largest first", ylabel="share of kept", ylim=(0, None))


def _similarity(axes: Axes, found: Comparison) -> None:
    for place, side in enumerate(found.sides):
        curve = side.diversity.nearest.curve
        axes.plot([at for at, _ in curve], [mean for _, mean in curve], label=_label(side), **_look(place))
    axes.set(xlabel="kept", ylabel="similarity to the nearest", ylim=(0, 1))


def _seeds(axes: Axes, found: Comparison) -> None:
    for place, side in enumerate(found.sides):
        axes.plot([seed.score for seed in side.seeds], label=_label(side), **_look(place))
    axes.set(xlabel="seeds, lowest score first", ylabel="score", ylim=(0, 1))


def _bars(axes: Axes, found: Comparison, names: Sequence[str], heights: Sequence[Sequence[float]]) -> None:
    width = 0.8 / len(heights)
    for place, (side, values) in enumerate(zip(found.sides, heights, strict=True)):
        positions = [number + width * (place + 0.5) - 0.4 for number in range(len(names))]
        axes.bar(positions, values, width=width, label=_label(side), color=_look(place)["color"])
    axes.set_xticks(range(len(names)), [_plain(name) for name in names], fontsize=8)


_DRAWN: dict[str, Callable[[Axes, Comparison], None]] = {
    "yield": _yield,
    "calls": _over_kept(lambda side: [point.calls for point in side.curve], "answered calls"),
    "cost": _over_kept(lambda side: [point.usd for point in side.curve], "USD"),
    "tokens": _over_kept(lambda side: [point.tokens for point in side.curve], "tokens"),
    "rejected": _rejected,
    "similarity": _similarity,
    "words": _words,
    "clusters": _clusters,
    "seeds": _seeds,
}
