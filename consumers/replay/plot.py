"""A what-if as a plot: kept over generated, rejections by reason, clusters, side by side."""

from pathlib import Path

from consumers.replay.what_if import WhatIf, WhatIfOutcome
from infra.plotting import matplotlib
from schemas.errors import ConfigurationError

_FORMATS = (".svg", ".png", ".pdf")
_COLOURS = {"real": "#5b6b7a", "what if": "#d9792b"}


def write_plot(found: WhatIf, file: Path) -> None:
    """Write the plot in the format of the file's ending. Raises ConfigurationError when it cannot be written."""
    if file.suffix not in _FORMATS:
        raise ConfigurationError(f"{file} cannot hold a plot. Name a file that ends in {', '.join(_FORMATS)}.")
    figure = matplotlib().figure.Figure(figsize=(12, 4), layout="constrained")
    curve, reasons, clusters = figure.subplots(1, 3)
    sides = {"real": found.real, "what if": found.what_if}
    for name, side in sides.items():
        curve.plot(*zip(*side.curve, strict=True) if side.curve else ((), ()), label=name, color=_COLOURS[name])
    curve.set(xlabel="generated", ylabel="kept", title=f"Run {found.run}")
    curve.legend()
    names = sorted({*found.real.rejected, *found.what_if.rejected})
    _bars(reasons, names, {side: [outcome.rejected.get(name, 0) for name in names] for side, outcome in sides.items()})
    reasons.set(title="Rejected", ylabel="instructions")
    reasons.tick_params(axis="x", rotation=30)
    _bars(clusters, *_shares(sides))
    clusters.set(title="Kept by cluster", xlabel="cluster, largest first", ylabel="share of kept")
    figure.suptitle(", ".join(f"{name} {old} → {new}" for name, (old, new) in found.changed.items()), fontsize=9)
    try:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    except OSError as error:
        raise ConfigurationError(f"The plot could not be written to {file}: {error}.") from error


def _shares(sides: dict[str, WhatIfOutcome]) -> tuple[list[str], dict[str, list[float]]]:
    """Shares of the clusters, largest first: two policies number their clusters independently."""
    most = max(len(side.clusters) for side in sides.values())
    shares = {
        name: [size / max(1, side.kept) for size in sorted(side.clusters, reverse=True)] for name, side in sides.items()
    }
    return [str(place + 1) for place in range(most)], {name: s + [0.0] * (most - len(s)) for name, s in shares.items()}


def _bars(axes: object, names: list[str], heights: dict[str, list[float]] | dict[str, list[int]]) -> None:
    for place, (side, values) in enumerate(heights.items()):
        positions = [number + 0.4 * place - 0.2 for number in range(len(names))]
        axes.bar(positions, values, width=0.4, label=side, color=_COLOURS[side])  # type: ignore[attr-defined]
    axes.set_xticks(range(len(names)), names)  # type: ignore[attr-defined]
