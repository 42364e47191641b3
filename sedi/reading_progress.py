"""Progress of reading a run, on standard error if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHOWN_EVERY_S = 0.1


@contextmanager
def reading_progress(title: str, unit: str = "records") -> Iterator[Callable[[int], None]]:
    """Shows how many records or other units were read; gives a function to call with how many more were read."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from sedi.console import TextConsole

    columns = SpinnerColumn(), TextColumn(f"{{task.description}}: {{task.completed:,.0f}} {unit}", markup=False)
    with Progress(*columns, console=TextConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda more: progress.advance(task, more)


@contextmanager
def counting_progress(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar with the rate; gives a function to call with (units done, units in all)."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sedi.console import TextConsole

    rate = TextColumn(f"{{task.fields[rate]}} {unit}/s")
    description = TextColumn("{task.description}", markup=False)
    columns = description, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()
    with Progress(*columns, console=TextConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, rate="–")
        started = time.monotonic()
        last = 0.0

        def update(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > _SHOWN_EVERY_S or done == total:
                last = now
                progress.update(task, completed=done, total=total, rate=f"{done / max(now - started, 0.001):,.0f}")

        yield update


@contextmanager
def staged_progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Shows a bar for the stage under way; gives a function to call with (stage, units done, units in all).

    Where standard error is no terminal, each stage is a line.
    """
    from sedi.console import TextConsole

    console = TextConsole(stderr=True)
    named = ""
    if not console.is_terminal:

        def say(stage: str, done: int, total: int) -> None:
            nonlocal named
            if stage != named:
                named = stage
                console.print(f"{stage}: {total:,} {unit}")

        yield say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def update(stage: str, done: int, total: int) -> None:
            nonlocal named
            if stage != named:
                named = stage
                progress.reset(task, description=stage, total=total)
            progress.update(task, completed=done)

        yield update
