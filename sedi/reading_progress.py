"""Bars of work that takes long: how far, the rate, and the time left; on standard error if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sedi.amounts import duration, per_time

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SHOWN_EVERY_S = 0.1
_APPEARS_S = 0.5  # what is done sooner shows nothing
_TEXTS = ("amount", "rate", "left")
_NARROW, _BAR, _BAR_NARROW = 80, 24, 10


class _Bar:
    """One bar. Its rate is of the whole time since it began; with a new stage it begins anew.

    after_s   what is done sooner shows nothing
    """

    def __init__(self, progress: Progress, unit: str, after_s: float) -> None:
        self._progress = progress
        self._unit = unit
        self._after_s = after_s
        self._task: TaskID | None = None
        self._stage = ""
        self._started = self._last = time.monotonic()
        self._before = 0

    def show(self, stage: str, done: float, total: float | None) -> None:
        """`done` of `total`; None: it is not known of how many."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._last, self._before = stage, now, 0.0, int(done)
            if self._task is not None:
                self._progress.remove_task(self._task)
                self._task = None
        over = total is not None and done >= total
        soon = now - self._last < _SHOWN_EVERY_S and not over
        if soon or (self._task is None and now - self._started < self._after_s):
            return
        self._last = now
        rate = (done - self._before) / max(now - self._started, 0.001)
        left = duration((total - done) / rate) + " left" if total and rate > 0 and not over else ""
        amount = f"{done:,.0f}" if total is None else f"{done:,.0f} of {total:,.0f}"
        narrow = self._progress.console.width < _NARROW
        texts = [amount if narrow else f"{amount} {self._unit}", per_time(rate) if rate > 0 else "", left]
        fields: dict[str, Any] = dict(zip(_TEXTS, texts, strict=True))
        room = self._progress.console.width - (_BAR_NARROW if narrow else _BAR) - sum(map(len, texts)) - len(texts) - 1
        fields["description"] = stage if len(stage) <= room else f"{stage[: max(0, room - 1)]}…"
        if self._task is None:
            self._progress.start()  # only now: what starts meanwhile may take standard error over
            self._task = self._progress.add_task(total=total, **fields)
        self._progress.update(self._task, completed=done, total=total, **fields)


@contextmanager
def _bar(unit: str, after_s: float = 0.0) -> Iterator[_Bar | None]:
    """A bar in a terminal; None where standard error is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    from sedi.console import TextConsole

    console = TextConsole(stderr=True)
    texts = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in _TEXTS]
    bar = BarColumn(bar_width=_BAR_NARROW if console.width < _NARROW else _BAR)
    progress = Progress(TextColumn("{task.description}", markup=False), bar, *texts, console=console, transient=True)
    try:
        yield _Bar(progress, unit, after_s)
    finally:
        progress.stop()


@contextmanager
def reading_progress(title: str, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how many were read, of which it is not known how many there are; gives a function to call with how many
    more were."""
    done = 0
    with _bar(unit) as bar:

        def advance(more: int) -> None:
            nonlocal done
            done += more
            if bar is not None:
                bar.show(title, done, None)

        yield advance


@contextmanager
def log_progress(title: str) -> Iterator[None]:
    """Shows how far the readings of logs in this context are (`infra.log.watched`)."""
    with _bar("records", _APPEARS_S) as bar:
        if bar is None:
            yield
            return
        from infra.log.watched import watched

        shown = bar.show
        with watched(lambda done, total: shown(title, done, total)):
            yield


@contextmanager
def counting_progress(title: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Gives a function to call with (units done, units in all); None: it is not known how many."""
    with _bar(unit) as bar:

        def update(done: int, total: int | None) -> None:
            if bar is not None:
                bar.show(title, done, total)

        yield update


@contextmanager
def staged_progress(unit: str, *, lines: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function to call with (stage, units done, units in all).

    With `lines` each stage is a line where standard error is no terminal.
    """
    from sedi.output import notify

    named = ""
    with _bar(unit) as bar:

        def update(stage: str, done: int, total: int) -> None:
            nonlocal named
            if bar is not None:
                bar.show(stage, done, total)
            elif lines and stage != named:
                named = stage
                notify(f"{stage}: {total:,} {unit}")

        yield update
