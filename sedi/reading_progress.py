"""How far the reading of a run is, on standard error, when somebody sits there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHOWN_EVERY_S = 0.1


@contextmanager
def reading_progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows how many records were read while the context is open; gives what is to be told of more."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from sedi.console import TextConsole

    columns = SpinnerColumn(), TextColumn("{task.description}: {task.completed:,.0f} records", markup=False)
    with Progress(*columns, console=TextConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda more: progress.advance(task, more)


@contextmanager
def counting_progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the rate, of what is known how much there is; gives what is to be told (done, of how many)."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sedi.console import TextConsole

    rate = TextColumn(f"{{task.fields[rate]}} {unit}/s")
    described = TextColumn("{task.description}", markup=False)
    columns = described, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()
    with Progress(*columns, console=TextConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, rate="–")
        began = time.monotonic()
        last = 0.0

        def tell(done: int, of: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > _SHOWN_EVERY_S or done == of:
                last = now
                progress.update(task, completed=done, total=of, rate=f"{done / max(now - began, 0.001):,.0f}")

        yield tell
