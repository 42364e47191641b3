"""The study as two figures. The same study gives the same bytes with the same matplotlib; text stays text.

`curves`: the yield over kept instructions (the paper's Fig. 1), and calls over kept instructions (its Fig. 8). Lines
are means over rng seeds, bands go from the lowest to the highest, dashes are extrapolated.
`sweep`: calls per 1,000 kept by threshold; bars go from the lowest to the highest.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from consumers.folds.yield_curve import YieldPoint
from consumers.folds.yield_forms import shape
from consumers.yield_study.results import SideFit, YieldStudy
from consumers.yield_study.sides import SEDI, SELF_INSTRUCT
from infra.plotting import matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

FIGURES = ("curves", "sweep")

_COLOURS = {SELF_INSTRUCT.name: "#5b6b7a", SEDI.name: "#d9792b"}
_WINDOWS = 16


def svg(study: YieldStudy, name: str) -> bytes:
    """A figure of `FIGURES` as a file."""
    file = io.BytesIO()
    # Ids of clip paths are hashes with a random salt unless one is given.
    with matplotlib().rc_context({"svg.hashsalt": f"yield-{name}", "svg.fonttype": "none"}):
        figure = {"curves": _curves, "sweep": _sweep}[name](study)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _curves(study: YieldStudy) -> Figure:
    figure: Figure = matplotlib().figure.Figure(figsize=(11, 4.2), layout="constrained")
    shares, calls = figure.subplots(1, 2)
    for side in (SELF_INSTRUCT, SEDI):
        streams = [curve.points for curve in study.curves if curve.side == side.name]
        _band(shares, streams, side.name, _share_of_windows, edges=True)
        _band(calls, streams, side.name, _calls_at)
        fit = next(fit for fit in study.fits if fit.side == side.name)
        _extrapolation(shares, fit, study.target)
        ends = [(0, 0.0), *((cost.kept, cost.calls.mean) for cost in study.costs if cost.side == side.name)]
        reached = min(points[-1].kept for points in streams)
        beyond = [(kept, each) for kept, each in ends if kept >= reached]
        if beyond:
            start = float(np.mean([_calls_at(points, np.array([reached]))[0] for points in streams]))
            x, y = zip((reached, start), *beyond, strict=True)
            calls.plot(x, y, color=_COLOURS[side.name], linestyle="--")
    shares.set(
        xlabel="kept",
        ylabel="kept / generated, of the next ones",
        ylim=(0, 1),
        title="Yield over kept (the paper's Fig. 1)",
    )
    calls.set(
        xlabel="kept",
        ylabel="calls for lists",
        ylim=(0, None),
        xlim=(0, None),
        title="Calls to keep so many (its Fig. 8)",
    )
    _finish(shares, calls)
    return figure


def _sweep(study: YieldStudy) -> Figure:
    figure: Figure = matplotlib().figure.Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for mode, side, line in (("self-instruct", SELF_INSTRUCT, ""), ("sedi", SEDI, "-")):
        points = [point for point in study.sweep if point.side.startswith(mode)]
        x = [point.threshold for point in points]
        mean = [point.calls_per_1000_kept.mean for point in points]
        of = [point.calls_per_1000_kept.of for point in points]
        colour = _COLOURS[side.name]
        ends = [[at - min(each) for at, each in zip(mean, of, strict=True)]]
        ends += [[max(each) - at for at, each in zip(mean, of, strict=True)]]
        axes.errorbar(x, mean, ends, marker="o", markersize=4, linestyle=line, color=colour, capsize=3, label=mode)
    axes.set(
        xlabel="threshold (a kept instruction is at most this similar to another)",
        ylabel="calls per 1,000 kept",
        title=f"At {study.sweep[0].kept:,} kept",
    )
    _finish(axes)
    return figure


def _band(
    axes: Axes,
    streams: Sequence[Sequence[YieldPoint]],
    label: str,
    values: Callable[[Sequence[YieldPoint], Floats], Floats],
    *,
    edges: bool = False,
) -> None:
    """Each stream's values at common numbers of kept instructions; `edges`: values are of the spans between them."""
    end = min(points[-1].kept for points in streams)
    grid = np.linspace(0, end, _WINDOWS + 1)
    x = (grid[1:] + grid[:-1]) / 2 if edges else grid
    each = np.array([values(points, grid) for points in streams])
    axes.plot(x, each.mean(axis=0), color=_COLOURS[label], label=label)
    axes.fill_between(x, each.min(axis=0), each.max(axis=0), color=_COLOURS[label], alpha=0.2)


def _extrapolation(axes: Axes, fit: SideFit, target: int) -> None:
    kept = np.linspace(0, max(target, fit.fitted_to), 100)
    values = fit.level * shape(fit.form, kept, np.float64(fit.slope))
    label = f"{fit.side}: {fit.form} fit"
    axes.plot(kept, values, color=_COLOURS[fit.side], linestyle="--", linewidth=1, label=label)


def _share_of_windows(points: Sequence[YieldPoint], grid: Floats) -> Floats:
    generated = _at(points, grid, [point.generated for point in points])
    return np.diff(grid) / np.maximum(np.diff(generated), 1e-9)


def _calls_at(points: Sequence[YieldPoint], grid: Floats) -> Floats:
    return _at(points, grid, [point.calls for point in points])


def _at(points: Sequence[YieldPoint], grid: Floats, values: Sequence[int]) -> Floats:
    found: Floats = np.interp(grid, [0, *(point.kept for point in points)], [0, *values])
    return found


def _finish(*all_axes: Axes) -> None:
    for axes in all_axes:
        axes.grid(visible=True, alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
