"""A training's curves as an SVG picture: loss, held-out loss and gradient norm by step.

The same numbers and matplotlib version give the same bytes: no date, no random ids. Text stays text, so that it can be
searched and read aloud, in the reader's font.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consumers.trainer.record.metrics import Metrics
from infra.plotting import matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = "curves.svg"

_LOSS, _HELD_OUT, _NORM = "#2b7fb8", "#d9792b", "#3a7d5d"
_SMOOTHED_POINTS = 40  # the running mean spans one part in so many of all points


def curves(metrics: Metrics) -> str:
    """The picture as SVG."""
    mpl = matplotlib()
    figure = mpl.figure.Figure(figsize=(7.2, 4.8), layout="constrained")
    loss, norm = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    steps = metrics.steps
    _draw(loss, [(line.step, line.loss) for line in steps], _LOSS, "training")
    held_out = [(line.step, line.loss) for line in metrics.held_out_curve if line.loss is not None]
    if held_out:
        loss.plot(*zip(*held_out, strict=True), color=_HELD_OUT, marker="o", label="held out")
    _draw(norm, [(line.step, line.grad_norm) for line in steps], _NORM, "gradient norm")
    loss.set(ylabel="loss")
    norm.set(ylabel="gradient norm", xlabel="step", ylim=(0, None))
    for axes in (loss, norm):
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if loss.get_legend_handles_labels()[0]:
        loss.legend(frameon=False, fontsize=8)
    file = io.StringIO()
    # Ids of clip paths are hashes, of a random salt unless one is given.
    with mpl.rc_context({"svg.hashsalt": "curves", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _draw(axes: Axes, points: Sequence[tuple[int, float | None]], colour: str, label: str) -> None:
    """Draw the points as a thin line, and their running mean."""
    import polars as pl

    known = [(step, value) for step, value in points if value is not None]
    if not known:
        return
    steps, values = zip(*known, strict=True)
    width = max(1, len(known) // _SMOOTHED_POINTS)
    means = pl.Series(values, dtype=pl.Float64).rolling_mean(width, min_samples=1)
    axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.4 if width > 1 else 1.0)
    axes.plot(steps, means, color=colour, linewidth=1.6 if width > 1 else 0.8, label=label)
