"""The drawings of an evaluation as PNG files, by matplotlib: one like Fig. 7 for each pair of models, and accuracies.

The same report gives the same bytes with the same matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.evaluation.cells import shortened
from consumers.evaluation.drawing import OUTCOMES
from consumers.evaluation.notes import labels
from consumers.evaluation.tables import by_benchmark, pairs
from infra.plotting import matplotlib
from infra.visible import visible
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from consumers.evaluation.results import BenchmarkScore, ComparisonScore, EvaluationReport

_COLOURS = {"win": "#2f7d57", "tie": "#667079", "lose": "#b3433f"}
_LEAST = 0.06  # share of the width that a number needs


def write_evaluation_plots(found: EvaluationReport, folder: Path) -> list[Path]:
    """Write `benchmarks.png` and `comparison-1.png`, ... into the folder, created if needed. Returns the files.

    Raises ConfigurationError when a file cannot be written.
    """
    names = labels(found.models)
    figures = {"benchmarks": _benchmarks(by_benchmark(found.benchmarks), names)} if found.benchmarks else {}
    scored = [score for score in found.comparisons if score.scored]
    for number, (title, scores) in enumerate(pairs(scored, names).items(), start=1):
        figures[f"comparison-{number}"] = _comparison(title, scores)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
            written.append(folder / f"{name}.png")
    except OSError as error:
        raise ConfigurationError(f"Plots could not be written to {folder}: {error}.") from error
    return written


def _comparison(title: str, scores: Sequence[ComparisonScore]) -> Figure:
    figure: Figure = matplotlib().figure.Figure(figsize=(7.5, 1.3 + 0.45 * len(scores)), layout="constrained")
    axes = figure.subplots()
    places = range(len(scores))
    start = [0.0] * len(scores)
    for name in OUTCOMES:
        counts = [getattr(score, name) for score in scores]
        shares = [count / score.scored for count, score in zip(counts, scores, strict=True)]
        axes.barh(places, shares, left=start, color=_COLOURS[name], label=name)
        for place, count, share in zip(places, counts, shares, strict=True):
            if share >= _LEAST:
                axes.text(start[place] + share / 2, place, f"{count:,}", color="white", ha="center", va="center")
        start = [done + share for done, share in zip(start, shares, strict=True)]
    axes.set_yticks(places, [_label(score.set) for score in scores], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of scored prompts")
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_label(title, 100), fontsize=9, parse_math=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _benchmarks(scores: Sequence[BenchmarkScore], names: Mapping[str, str]) -> Figure:
    figure: Figure = matplotlib().figure.Figure(figsize=(7.5, 1.0 + 0.4 * len(scores)), layout="constrained")
    axes = figure.subplots()
    values = [100 * score.accuracy.value for score in scores]
    below = [value - 100 * score.accuracy.low for value, score in zip(values, scores, strict=True)]
    above = [100 * score.accuracy.high - value for value, score in zip(values, scores, strict=True)]
    axes.barh(range(len(scores)), values, xerr=(below, above), color="#4a7fb5", capsize=3)
    ticks = [f"{_label(score.title)}\n{_label(names[score.model])}" for score in scores]
    axes.set_yticks(range(len(scores)), ticks, fontsize=7, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="accuracy, %, with 95 % intervals")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _label(name: str, longest: int = 40) -> str:
    return shortened(visible(" ".join(name.split())), longest)
