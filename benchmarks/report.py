"""Results as a table on the terminal, as JSON, and as a plot."""

import dataclasses
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.agreement import Agreement
from benchmarks.similarity import THRESHOLDS, Results, exponent

_WAYS = {
    "rouge_score": "rouge_score",
    "tokens": "its LCS, tokens made before",
    "extract": "rapidfuzz extract, cutoff",
    "cdist": "rapidfuzz cdist, batches of 256",
    "index": "RougeLIndex",
}


def print_results(console: Console, results: Results, agreements: Sequence[Agreement]) -> None:
    """Print tables, with the time of each method relative to the index."""
    for threshold in THRESHOLDS:
        _decisions(console, results, threshold)
    if results.hard_cases:
        table = Table("worst cases", "kept", "θ", "extract ms", "index ms", "ratio", title="beside extract")
        for row in results.hard_cases:
            ratio = f"{_number(row['extract']) / _number(row['index']):.2f}"
            times = (f"{_number(row[way]):.3f}" for way in ("extract", "index"))
            table.add_row(str(row["case"]), f"{row['kept']:,}", str(row["threshold"]), *times, ratio)
        console.print(table)
    if results.growth:
        table = Table("kept", "θ", "ms a decision", "bytes an item", title="growth")
        for row in results.growth:
            size, ms = f"{row['kept']:,}", f"{_number(row['ms']):.4f}"
            table.add_row(size, str(row["threshold"]), ms, f"{_number(row['bytes_an_item']):.0f}")
        console.print(table)
        for threshold in THRESHOLDS:
            found = exponent(results.growth, threshold)
            console.print(f"growth exponent at {threshold}: {'-' if found is None else f'{found:.2f}'}")
    for row in results.recovery:
        console.print(
            f"{row['kept']:,} kept at {row['threshold']}: filled at once in {_number(row['at_once_s']):.2f} s ("
            f"{_number(row['at_once_cpu_s']):.2f} s of processor time, {row['progress_reports']} progress reports); "
            f"one by one in {_number(row['one_by_one_cpu_s']):.2f} s of processor time, the longest add "
            f"{_number(row['longest_add_ms']):.1f} ms ({_number(row['longest_add_cpu_ms']):.1f} ms of processor time)"
        )
    for agreement in agreements:
        console.print(
            f"{agreement.items:,} mixed items at {agreement.threshold}, {agreement.stream}: {agreement.above:,} above, "
            f"{agreement.different} different from rouge_score in decision, score or nearest"
        )
        for difference in agreement.differences:
            console.print(f"  {difference}")


def _decisions(console: Console, results: Results, threshold: float) -> None:
    rows = [row for row in results.decisions if row["threshold"] == threshold]
    if not rows:
        return
    table = Table("ms a decision (× index)", title=f"θ = {threshold}; {results.input}")
    for row in rows:
        table.add_column(f"{row['kept']:,} kept", justify="right")
    for way, name in _WAYS.items():
        cells = (f"{_number(r[way]):,.4g} ({_number(r[way]) / _number(r['index']):,.0f} ×)" for r in rows)
        table.add_row(name, *cells)
    console.print(table)


def write_json(path: Path, results: Results, agreements: Sequence[Agreement]) -> None:
    """All results, with the environment."""
    machine = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "rapidfuzz", "rouge-score")},
    }
    document = {
        "machine": machine,
        "time": "processor time of one core, milliseconds a decision",
        **dataclasses.asdict(results),
        "growth_exponent": {str(t): exponent(results.growth, t) for t in THRESHOLDS},
        "agreement": [dataclasses.asdict(agreement) for agreement in agreements],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_plot(path: Path, results: Results) -> None:
    """Milliseconds per decision over the number of kept texts, both axes logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panes = pyplot.subplots(1, len(THRESHOLDS), figsize=(11, 4.5), sharey=True, layout="constrained")
    for pane, threshold in zip(np.atleast_1d(panes), THRESHOLDS, strict=True):
        for way, name in _WAYS.items():
            points = [(row["kept"], row[way]) for row in results.decisions if row["threshold"] == threshold]
            if way == "index":
                points += [(row["kept"], row["ms"]) for row in results.growth if row["threshold"] == threshold]
            points = sorted(dict(points).items(), key=lambda point: _number(point[0]))
            pane.loglog(*zip(*points, strict=True), marker="o", label=name) if points else None
        pane.set_title(f"θ = {threshold}")
        pane.set_xlabel("kept")
        pane.grid(visible=True, which="major", alpha=0.3)
    first: Any = np.atleast_1d(panes)[0]
    first.set_ylabel("ms a decision")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=len(_WAYS), fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)


def _number(value: object) -> float:
    return float(str(value))
