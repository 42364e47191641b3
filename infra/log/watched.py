"""Lets a command show how far the readings of logs are that it causes, wherever they are opened.

Readings report by batches, so that nobody pays for it record by record. Without `watched` around them they report to
nobody; other threads and processes report to theirs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Show = Callable[[int, int], None]
"""Called with the records that were read so far, and those that all open readings will have read."""

BATCH = 500
"""Records after which a reading reports that has no batches of its own."""


@dataclass
class _Watch:
    show: Show
    done: int = 0
    total: int = 0


_watch: ContextVar[_Watch | None] = ContextVar("watched_readings", default=None)


@contextmanager
def watched(show: Show) -> Iterator[None]:
    """Have the readings in this context report to `show`."""
    token = _watch.set(_Watch(show))
    try:
        yield
    finally:
        _watch.reset(token)


def report_read(records: int, *, more: int = 0) -> None:
    """So many further records were read; and `more` are to be read than was known, less where it is negative."""
    if (watch := _watch.get()) is not None:
        watch.done += records
        watch.total += more
        watch.show(watch.done, max(watch.done, watch.total))
