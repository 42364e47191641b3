"""What a soak sampled, as curves: a CSV, a plot, and a judgement for each curve of its second half.

A process that was killed begins again with less memory, so a plain line through a curve would measure the kills. The
slope here is the one that all lives of a process have in common, each with a level of its own, without the first
minutes of each life (imports, tables that recover). Samples that follow one another are alike; the interval is widened
by their correlation, as if there were fewer of them.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.plotting import matplotlib

SETTLED_S = 60.0  # of a life, after which its samples count
FLAT_SHARE = 0.02  # of the level an hour: less is called flat even if it is measurable
SHORTEST_H = 0.2  # that a curve is judged on: a program that has just begun fills its pools
SEEN_SHARE = 0.005  # of the level while it was sampled: less is too little to tell from settling
_CERTAIN = 1.96  # standard errors on either side of a slope: 95 %
_FEWEST = 8
_MINUTE = 60.0
_COLOURS = ("#d9792b", "#5b6b7a", "#3f7f5f", "#8a4f7d")

Sample = Mapping[str, float]
"""One row of the CSV by column; a column that could not be sampled is missing."""


@dataclass(frozen=True)
class Slope:
    """How a curve rises over something, in the second half of a soak.

    level      its mean
    per        its rise for each unit of what it rises over
    low, high  95 % interval of `per`
    samples    that it was fitted to
    """

    level: float
    per: float
    low: float
    high: float
    samples: int
    span: float

    @property
    def flat(self) -> bool:
        """Whether no rise an hour is seen, or one below `FLAT_SHARE` of the level, or `SEEN_SHARE` in all."""
        return self.low <= 0.0 or self.high < FLAT_SHARE * self.level or self.per * self.span < SEEN_SHARE * self.level


def slope(samples: Sequence[Sample], column: str, over: str, life: str | None = None) -> Slope | None:
    """The slope of `column` over the column `over`, a level for each value of `life`; None with too few samples."""
    usable = [s for s in samples if column in s and over in s]
    lives = np.array([s[life] if life else 0.0 for s in usable])
    x, y = (np.array([s[name] for s in usable], dtype=np.float64) for name in (over, column))
    counted = [life for life in np.unique(lives) if np.count_nonzero(lives == life) >= 2]
    some = np.isin(lives, counted)
    x, y, lives = x[some], y[some], lives[some]
    if len(x) < _FEWEST:
        return None
    level, span = float(y.mean()), float(np.ptp(x))
    for each in counted:
        x[lives == each] -= x[lives == each].mean()
        y[lives == each] -= y[lives == each].mean()
    spread = float(x @ x)
    if spread == 0.0:
        return None
    per = float(x @ y) / spread
    left = y - per * x
    free = len(x) - len(counted) - 1
    variance = float(left @ left)
    alike = float(left[1:] @ left[:-1]) / variance if variance > 0 else 0.0
    alike = min(max(alike, 0.0), 0.99)
    error = (variance / max(1, free) / spread * (1 + alike) / (1 - alike)) ** 0.5
    return Slope(level, per, per - _CERTAIN * error, per + _CERTAIN * error, len(x), span)


def second_half(samples: Sequence[Sample], process: str) -> list[Sample]:
    """The samples of the second half, of settled lives of a process."""
    if not samples:
        return []
    half = (samples[0]["seconds"] + samples[-1]["seconds"]) / 2
    return [s for s in samples if s["seconds"] >= half and s.get(f"{process}_age_s", 0.0) >= SETTLED_S]


@dataclass(frozen=True)
class Judged:
    """One curve of the second half. `expected`: what makes it grow in a sound program, empty for nothing."""

    curve: str
    unit: str
    slope: Slope | None
    expected: str = ""

    @property
    def verdict(self) -> str:
        if self.slope is None:
            return "too few samples"
        if self.slope.flat:
            return "flat"
        if self.expected:
            return "grows, as expected"
        return "GROWS" if self.slope.span >= SHORTEST_H else "rises, in a time too short to judge"


def judged(samples: Sequence[Sample], processes: Sequence[str]) -> list[Judged]:
    """Each curve's slope an hour, and the memory of the filter for each kept row."""
    hourly = [{**s, "hours": s["seconds"] / 3600} for s in samples]
    found = []
    for name in processes:
        settled = second_half(hourly, name)
        is_filter = name.startswith("filter")
        grows = "kept rows and decisions" if is_filter else ""
        segments = "segments of its log" if name == "broker" else ""
        life = f"{name}_life"
        found += [
            Judged(f"memory of the {name}", "MB", slope(settled, f"{name}_mb", "hours", life), grows),
            Judged(f"handles of the {name}", "handles", slope(settled, f"{name}_handles", "hours", life), segments),
        ]
        if is_filter:
            in_bytes = [{**s, "bytes": s[f"{name}_mb"] * 1e6} for s in settled]
            found.append(
                Judged(
                    f"memory of the {name}, a kept row", "bytes", slope(in_bytes, "bytes", "kept", life), "kept rows"
                )
            )
    half = [s for s in hourly if s["seconds"] >= hourly[-1]["seconds"] / 2] if hourly else []
    found.append(Judged("lag of the filter", "generations", slope(half, "lag", "hours")))
    found.append(Judged("disk of the broker", "MB", slope(half, "disk_mb", "hours"), "the log"))
    return found


def line_of(each: Judged) -> str:
    """The judgement as a sentence."""
    if each.slope is None:
        return f"{each.curve}: {each.verdict}"
    s = each.slope
    per = "a row" if each.curve.endswith("a kept row") else "an hour"
    interval = f"{s.per:+,.3g} {each.unit} {per} [{s.low:+,.3g}, {s.high:+,.3g}]"
    level = "" if per == "a row" else f"{s.level:,.4g} {each.unit}, "
    why = f" ({each.expected})" if each.expected else ""
    return f"{each.curve}: {level}{interval}: {each.verdict}{why}"


def as_csv(samples: Sequence[Sample]) -> str:
    """All samples, one a line; what could not be sampled is empty."""
    columns = list(dict.fromkeys(name for sample in samples for name in sample))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in sample.items()} for sample in samples)
    return text.getvalue()


def from_csv(text: str) -> list[dict[str, float]]:
    """The samples of `as_csv`, to its six digits."""
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(io.StringIO(text))]


def write_plot(path: Path, samples: Sequence[Sample], processes: Sequence[str], events: Sequence[float]) -> None:
    """Memory, handles, disk and lag over minutes, in the path's format; a thin line at each disturbance."""
    with matplotlib().rc_context({"svg.hashsalt": "soak", "svg.fonttype": "none"}):
        figure = matplotlib().figure.Figure(figsize=(11, 7), layout="constrained")
        (memory, handles), (disk, lag) = figure.subplots(2, 2)
        for name, colour in zip(processes, _COLOURS, strict=False):
            _draw(memory, samples, f"{name}_mb", name, colour)
            _draw(handles, samples, f"{name}_handles", name, colour)
        _draw(disk, samples, "disk_mb", "broker's data", _COLOURS[0])
        _draw(disk, samples, "logs_mb", "logs and tables", _COLOURS[1])
        _draw(lag, samples, "lag", "written and not decided", _COLOURS[0])
        memory.set(title="Resident memory", ylabel="MB")
        handles.set(title="Open handles")
        disk.set(title="Disk", ylabel="MB")
        lag.set(title="Lag of the filter", ylabel="generations")
        for axes in (memory, handles, disk, lag):
            for at in events:
                axes.axvline(at / _MINUTE, color="#c9ced4", linewidth=0.5, zorder=0)
            axes.set(xlabel="minutes", ylim=(0, None))
            axes.legend(fontsize=8)
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def _draw(axes: Any, samples: Sequence[Sample], column: str, label: str, colour: str) -> None:
    points = [(s["seconds"] / _MINUTE, s.get(column, np.nan)) for s in samples]
    axes.plot(*(zip(*points, strict=True) if points else ((), ())), label=label, color=colour, linewidth=1.0)
