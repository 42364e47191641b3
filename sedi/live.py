"""The live view of a run: a dashboard in a terminal, a line at intervals elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live

from sedi.amounts import duration
from sedi.dashboard import Dashboard
from sedi.output import answered_line, batches_line, notify, percent, shown, spent

if TYPE_CHECKING:
    from consumers.status import Status
    from sedi.run_progress import RunProgress

_LINE_S, _WAITING_LINE_S = 10.0, 5.0


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
            self._live.update(Dashboard(status, progress), refresh=True)
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
    calls, oldest_s = status.calls, status.moment.oldest_call_s
    oldest = "" if oldest_s is None else f" (oldest {duration(oldest_s)})"
    left = "".join(
        f" | {target.done:,.0f} of {target.total:,.0f} {target.unit}, {duration(target.left_s)} left"
        for target in progress.targets
        if target.left_s and target.unit not in ("s", "$")
    )
    answered = "".join(f", {what} {many}" for what, many in (*answered_line(status), *batches_line(status)))
    return (
        f"{progress.elapsed_s:4.0f} s  {_phase(progress)}: {calls.open} calls in flight{oldest}, "
        f"{status.generated} generated, {status.kept} kept "
        f"({percent(status.kept_share)}), {status.rejected_total} rejected{answered}, "
        f"clusters {list(status.clusters)}, "
        f"{status.steps} steps, {_windows(progress)} windows{training}, {status.lag.untrained} rows to train on, "
        f"{status.replacements} seeds replaced, cost {spent(status, priced=progress.priced)}{left}"
        + (f" | {progress.training}" if progress.training else "")
    )


def _phase(progress: RunProgress) -> str:
    """The phase, with the seconds that it has waited for a part."""
    waited_s = progress.waited_s
    return progress.phase if waited_s is None else f"{progress.phase}, {waited_s:.0f} s so far"


def _windows(progress: RunProgress) -> str:
    return f"{progress.windows}/{progress.windows_wanted}" if progress.windows_wanted else str(progress.windows)
