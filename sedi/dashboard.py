"""The view of a run in a terminal: as many lines as its height allows, none wider than it is.

Every line has a rank. Where they do not all fit, those of the highest rank are left out, so that what matters most is
seen in 60 columns and 20 lines too. Of several forms of a text the first that fits is taken; where none does, the last
one loses its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from infra.visible import visible
from sedi.amounts import duration, per_time, short
from sedi.output import answered_line, batches_line, percent, shown, spent, token_counts

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from consumers.folds.moment import LastRow
    from consumers.seed_table import SeedRow
    from consumers.status import Status
    from sedi.run_progress import RunProgress
    from sedi.targets import Target

_LABEL = 14
_BAR, _LEAST_BAR = 40, 6
_LEVELS = "▁▂▃▄▅▆▇█"
_PARTS = ("corpus", "generator", "documents", "answerer", "answerer-rest", "judge", "judge-rest")
_TROUBLE = "bold red"


@dataclass(frozen=True)
class _Line:
    """A line of the view. With a `label` its text begins in the second column.

    forms   of the text, the longest first
    bar     the share of it that is drawn before the text
    """

    rank: int
    label: str
    forms: tuple[str, ...]
    style: str = ""
    bar: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """The whole view; it takes its size from the console."""

    status: Status
    progress: RunProgress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = max(4, options.size.height - 1)  # the last line of a terminal is the cursor's
        lines = _fitting(list(_lines(self.status, self.progress, options.max_width, options.ascii_only)), height)
        for line in lines:
            yield _drawn(line, options.max_width, options.encoding)


def _lines(status: Status, progress: RunProgress, width: int, ascii_only: bool) -> Iterator[_Line]:
    waited = "" if progress.waited_s is None else f", {progress.waited_s:.0f} s so far"
    so_far = f"{duration(progress.elapsed_s)}   {progress.phase}"
    yield _Line(0, "", (f"Run {status.run}   {so_far}{waited}", f"{so_far}{waited}", so_far), "bold")
    for target in progress.targets:
        yield _Line(1, _name(target), _amounts(target), bar=target.share)
    yield from _work(status, progress)
    yield from _rows(status)
    yield from _training(status, progress)
    yield from _clusters(status.clusters, width - _LABEL, ascii_only)
    for label, seeds in (("lowest seeds", status.lowest_seeds[:3]), ("highest seeds", status.highest_seeds[:3])):
        for number, seed in enumerate(seeds):
            yield _Line(12, "" if number else label, (_seed(seed),))


def _work(status: Status, progress: RunProgress) -> Iterator[_Line]:
    """What each part does, or waits for."""
    calls, oldest = status.calls, status.moment.oldest_call_s
    age = f", the oldest {duration(oldest)}" if calls.open and oldest is not None else ""
    in_flight, answered, failed = f"{calls.open:,} in flight{age}", f"{calls.answered:,} answered", ""
    if calls.failed:
        failed = f", {calls.failed:,} failed"
    briefly = in_flight.replace("the oldest", "oldest")
    forms = f"{in_flight}; {answered}{failed}", f"{briefly}; {answered}{failed}", f"{briefly}; {answered}", briefly
    yield _Line(2, "LLM calls", forms)
    for _, text in batches_line(status):
        yield _Line(4, "batches", (text,))
    cost, tokens = spent(status, priced=progress.priced), status.tokens
    briefly = f"{short((tokens.prompt or 0) + (tokens.completion or 0))} tokens"
    yield _Line(7, "spent", (f"{cost}; tokens: {token_counts(tokens)}", f"{cost}; {briefly}"))
    for name in _PARTS:
        if name in progress.children:
            unheard = "waits for the LLM" if calls.open else "starting"
            yield _part(name, name.replace("-rest", ""), progress, progress.news.get(name) or unheard)
    waiting = status.lag.generations
    deciding = f"decides on {waiting:,} generations" if waiting else "waits for instructions"
    yield _part("worker", "filter", progress, deciding)
    if "trainer" in progress.children:
        yield _part("trainer", "trainer", progress, progress.training or "starting")
        if progress.feeds_back:
            yield _Line(6, "feedback", (_feedback(status),))


def _part(name: str, label: str, progress: RunProgress, doing: str) -> _Line:
    state = progress.children.get(name, "runs")
    if state.startswith("failed"):
        return _Line(1, label, (state,), _TROUBLE)
    return _Line(3, label, (doing if state == "runs" else f"{state}; {doing}",))


def _feedback(status: Status) -> str:
    window = status.last_window
    replaced = f"{status.replacements:,} seeds replaced"
    if window is None:
        return "waits for a window"
    if window.outcome is None:
        return f"decides on step {window.step}; {replaced}"
    return f"waits for a window; {replaced}"


def _rows(status: Status) -> Iterator[_Line]:
    rates, moment = status.rates, status.moment
    made = f"{status.generated:,} in {status.generations:,} generations{_rate(rates.generated)}"
    yield _Line(4, "generated", (made,))
    yield _Line(4, "kept", (f"{status.kept:,} ({percent(status.kept_share)}){_rate(rates.kept)}",))
    yield _Line(5, "rejected", tuple(_rejected(status)))
    for _, text in answered_line(status):
        yield _Line(5, "answered", (text,))
    yield _Line(4, "last kept", (row_text(moment.last_kept),))
    yield _Line(4, "last rejected", (row_text(moment.last_rejected),))


def _rejected(status: Status) -> Iterator[str]:
    """The reasons, with fewer and fewer of the rare ones."""
    reasons = [f"{reason} {count:,}" for reason, count in status.rejected.items()]
    for number in range(len(reasons), 0, -1):
        rest = len(reasons) - number
        listed = ", ".join([*reasons[:number], *([f"{rest} more"] if rest else [])])
        yield f"{status.rejected_total:,}: {listed}"
    yield f"{status.rejected_total:,}"


def row_text(row: LastRow | None) -> str:
    """A row that was decided last: why it was rejected, or its cluster, and its words."""
    if row is None:
        return "none yet"
    text = row.instruction or row.id
    if row.reason is None:
        return text if row.cluster is None else f"cluster {row.cluster}: {text}"
    similarity = "" if row.similarity is None else f" {row.similarity:.2f}"
    return f"{row.reason}{similarity}: {text}"


def _training(status: Status, progress: RunProgress) -> Iterator[_Line]:
    if "trainer" not in progress.children and not status.windows:
        return
    text = f"{status.steps:,} steps, {status.windows:,} windows, {status.lag.untrained:,} rows to train on"
    yield _Line(6, "training", (text,))
    if (window := status.last_window) is not None:
        outcome = "" if window.outcome is None else f"; {window.outcome}, {window.replacements} seeds"
        numbers = f"loss {shown(window.loss)}, gradient norm {shown(window.grad_norm)}"
        yield _Line(6, "last window", (f"to step {window.step}: {numbers}{outcome}",))


def _clusters(clusters: tuple[int, ...], width: int, ascii_only: bool) -> Iterator[_Line]:
    """Kept rows of all clusters: as a drawing, and as numbers in their order."""
    most = max(*clusters, 1) if len(clusters) > 1 else max(clusters[0], 1)
    levels = "".join(_LEVELS[min(7, 8 * rows // most)] if rows else "·" for rows in clusters)
    drawing = "" if ascii_only or len(levels) > width // 2 else f"{levels}  "
    yield _Line(5, "clusters", (f"{drawing}{min(clusters):,} to {max(clusters):,} rows in {len(clusters)}",))
    numbers = [short(rows) for rows in clusters]
    each = 1 + max(map(len, numbers))
    in_line = max(1, width // each)
    if len(numbers) <= 4 * in_line:
        for at in range(0, len(numbers), in_line):
            yield _Line(8, "", ("".join(f"{number:<{each}}" for number in numbers[at : at + in_line]).rstrip(),))


def _seed(seed: SeedRow) -> str:
    return f"{shown(seed.score)}, shown {seed.shown:,}×: {seed.instruction}"


def _rate(per_s: float) -> str:
    return f", {per_time(per_s)}" if per_s else ""


def _name(target: Target) -> str:
    return {"$": "cost", "s": "time"}.get(target.unit, target.unit)


def _fitting(lines: list[_Line], height: int) -> list[_Line]:
    """The lines without those of the highest ranks, so that they fit; of one rank the last ones go first."""
    surplus = len(lines) - height
    if surplus <= 0:
        return lines
    order = sorted(range(len(lines)), key=lambda at: (lines[at].rank, at))
    left_out = set(order[height:])
    return [line for at, line in enumerate(lines) if at not in left_out]


def _drawn(line: _Line, width: int, encoding: str) -> Text:
    if line.rank == 0:
        return Text(_first_fit(line.forms, width, encoding), line.style, no_wrap=True)
    parts = [(f"{line.label:{_LABEL}}", "dim")]
    room = width - _LABEL
    if line.bar is not None:
        text = _first_fit(line.forms, max(0, room - _LEAST_BAR - 1), encoding)
        length = max(_LEAST_BAR, min(_BAR, room - cell_len(text) - 1))
        full = int(line.bar * length)
        done, rest = ("█", "░") if encoding.startswith("utf") else ("#", "-")
        parts += [(done * full, "green"), (rest * (length - full), "dim"), (f" {text}", line.style)]
    else:
        parts.append((_first_fit(line.forms, room, encoding), line.style))
    return Text.assemble(*parts, no_wrap=True)


def _amounts(target: Target) -> tuple[str, ...]:
    """How much of a target, the rate and the time left."""
    if target.unit == "$":
        amount = f"${target.done:.2f} of ${target.total:.2f}"
    elif target.unit == "s":
        amount = f"{duration(target.done)} of {duration(target.total)}"
    else:
        amount = f"{target.done:,.0f} of {target.total:,.0f}"
    rate = "" if target.per_s is None else per_time(target.per_s, money=target.unit == "$")
    left = "" if target.left_s is None else "done" if target.share >= 1 else f"{duration(target.left_s)} left"
    whole = "  ".join(part for part in (amount, rate, left) if part)
    return whole, "  ".join(part for part in (amount, left) if part), amount


def _first_fit(forms: tuple[str, ...], width: int, encoding: str) -> str:
    """The first form of at most so many cells, on one line; else the last one with an ellipsis as its end.

    Characters that the encoding does not have are escaped here: standard output would do it after they were measured.
    """
    text = ""
    for form in forms:
        text = visible(form).replace("\n", " ").replace("\t", " ")
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        if cell_len(text) <= width:
            return text
    ellipsis = "…" if encoding.startswith("utf") else "..."
    return set_cell_size(text, max(0, width - len(ellipsis))).rstrip() + ellipsis
