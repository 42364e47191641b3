"""The live view of a run: a dashboard in a terminal, a line at intervals elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from sedi.output import answered_line, batches_line, notify, percent, shown, spent, table, token_counts
from sedi.seed_tables import seed_table

if TYPE_CHECKING:
    from consumers.status import Status
    from sedi.run_progress import RunProgress

_LINE_S, _WAITING_LINE_S = 10.0, 5.0
_BAR = 24


class LiveView(AbstractContextManager["LiveView"]):
    """Shows the status and progress it is given; `say` prints a line above them."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live = Live(console=out, auto_refresh=False, transient=True) if out.is_terminal else None
        self._last = (0.0, "", -1)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if self._live is not None:
                self._live.stop()

    def say(self, text: str) -> None:
        with suppress(OSError):  # a closed terminal must not keep a run from ending in order
            if self._live is not None:
                self._out.print(text)
            else:
                notify(text)

    def show(self, status: Status, progress: RunProgress) -> None:
        with suppress(OSError):
            self._show(status, progress)

    def _show(self, status: Status, progress: RunProgress) -> None:
        if self._live is not None:
            self._live.update(dashboard(status, progress), refresh=True)
            return
        shown_at, phase, windows = self._last
        every = _LINE_S if progress.waited_s is None else _WAITING_LINE_S
        if time.monotonic() - shown_at >= every or phase != progress.phase or windows != progress.windows:
            self._last = time.monotonic(), progress.phase, progress.windows
            notify(line(status, progress))


def line(status: Status, progress: RunProgress) -> str:
    """One line for logs and pipes."""
    window = status.last_window
    training = f", loss {shown(window.loss)} grad norm {shown(window.grad_norm)}" if window else ""
    answered = "".join(f", {what} {many}" for what, many in (*answered_line(status), *batches_line(status)))
    return (
        f"{progress.elapsed_s:4.0f} s  {_phase(progress)}: {status.generated} generated, {status.kept} kept "
        f"({percent(status.kept_share)}), {status.rejected_total} rejected{answered}, "
        f"clusters {list(status.clusters)}, "
        f"{status.steps} steps, {_windows(progress)} windows{training}, {status.lag.untrained} rows to train on, "
        f"{status.replacements} seeds replaced, cost {spent(status, priced=progress.priced)}"
        + (f" | {progress.training}" if progress.training else "")
    )


def dashboard(status: Status, progress: RunProgress) -> RenderableType:
    """The whole view, for a terminal."""
    parts: list[RenderableType] = [_head(status, progress), _flow(status, progress), _clusters(status)]
    if status.lowest_seeds:
        parts.append(seed_table("Seeds with the lowest scores", status.lowest_seeds[:3]))
        parts.append(seed_table("Seeds with the highest scores", status.highest_seeds[:3]))
    return Group(*parts)


def _head(status: Status, progress: RunProgress) -> Table:
    grid = Table.grid(padding=(0, 2))
    elapsed = f"{progress.elapsed_s:.0f} s"
    if progress.windows_wanted:
        bar = ProgressBar(total=progress.windows_wanted, completed=progress.windows, width=_BAR)
        grid.add_row(f"Run {status.run}", bar, f"{_windows(progress)} windows", elapsed, _phase(progress))
    else:
        grid.add_row(f"Run {status.run}", elapsed, _phase(progress))
    outer = Table.grid()
    outer.add_row(grid)
    outer.add_row("   ".join(f"{name} {state}" for name, state in progress.children.items()))
    outer.add_row(progress.training)
    return outer


def _flow(status: Status, progress: RunProgress) -> Table:
    rates, window = status.rates, status.last_window
    reasons = ", ".join(f"{reason} {count}" for reason, count in status.rejected.items()) or "none"
    last = "none yet"
    if window is not None:
        outcome = "not answered yet" if window.outcome is None else f"{window.outcome}, {window.replacements} seeds"
        last = f"to step {window.step}: loss {shown(window.loss)}, gradient norm {shown(window.grad_norm)}; {outcome}"
    return table(
        "",
        ("", ""),
        [
            ("LLM", f"{status.calls.answered} calls answered, {status.calls.failed} failed"),
            ("tokens", token_counts(status.tokens)),
            *batches_line(status),
            ("cost", spent(status, priced=progress.priced)),
            ("generated", f"{status.generated} in {status.generations} generations, {rates.generated:.2f} a second"),
            ("kept", f"{status.kept} ({percent(status.kept_share)}), {rates.kept:.2f} a second"),
            ("rejected", f"{status.rejected_total}: {reasons}"),
            *answered_line(status),
            ("waiting", f"{status.lag.generations} generations to decide on, {status.lag.untrained} rows to train on"),
            ("training", f"{status.steps} steps in {status.windows} windows, {status.replacements} seeds replaced"),
            ("last window", last),
        ],
    )


def _clusters(status: Status) -> Table:
    grid = Table.grid(padding=(0, 1))
    top = max(*status.clusters, 1) if len(status.clusters) > 1 else max(status.clusters[0], 1)
    for cluster, rows in enumerate(status.clusters):
        grid.add_row(f"cluster {cluster}", ProgressBar(total=top, completed=rows, width=_BAR), f"{rows:,}")
    return grid


def _phase(progress: RunProgress) -> str:
    """The phase, with the seconds that it has waited for a part."""
    waited_s = progress.waited_s
    return progress.phase if waited_s is None else f"{progress.phase}, {waited_s:.0f} s so far"


def _windows(progress: RunProgress) -> str:
    return f"{progress.windows}/{progress.windows_wanted}" if progress.windows_wanted else str(progress.windows)
