"""How far the reading of a run is, on standard error, when somebody sits there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TOLD_EVERY = 50


@contextmanager
def reading_progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows how many records were read while the context is open; gives what is to be told of more."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = SpinnerColumn(), TextColumn("{task.description}: {task.completed:,.0f} records")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda more: progress.advance(task, more)


@contextmanager
def counting_progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the rate, of what is known how much there is; gives what is to be told (done, of how many)."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}, {{task.fields[rate]}}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, rate="")

        def tell(done: int, of: int) -> None:
            if done % _TOLD_EVERY == 0 or done == of:
                speed = progress.tasks[0].speed
                progress.update(task, completed=done, total=of, rate="" if speed is None else f"{speed:,.0f} a second")

        yield tell
