"""Counts what a process does.

`meters()` is the process's counts. Where nobody asked for metrics it does nothing, and nothing is imported. `read`
names a function that is called when somebody looks, so what a process knows anyway costs nothing on its way.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from infra.metrics.declared import DeclaredMetric

Value = float | Mapping[str, float] | None
"""Of a metric without labels, or by the value of its one label; None: not known."""


class Meters(Protocol):
    """The counts of one process. All methods may be called from any thread."""

    def add(self, metric: DeclaredMetric, amount: float = 1.0, *labels: str) -> None:
        """Raise a counter; `labels` are in the order of the metric's."""
        ...

    def set(self, metric: DeclaredMetric, value: float, *labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: DeclaredMetric, value: float) -> None:
        """Count a value in a histogram."""
        ...

    def read(self, metric: DeclaredMetric, value: Callable[[], Value]) -> None:
        """Ask for a counter or gauge when somebody looks. The function must be quick; it is called in other threads."""
        ...


class _NoMeters:
    def add(self, metric: DeclaredMetric, amount: float = 1.0, *labels: str) -> None:
        pass

    def set(self, metric: DeclaredMetric, value: float, *labels: str) -> None:
        pass

    def observe(self, metric: DeclaredMetric, value: float) -> None:
        pass

    def read(self, metric: DeclaredMetric, value: Callable[[], Value]) -> None:
        pass


_NONE = _NoMeters()
_meters: Meters = _NONE


def meters() -> Meters:
    """The counts of this process."""
    return _meters


def is_metered() -> bool:
    """Whether anybody asked for metrics."""
    return _meters is not _NONE


@contextmanager
def metered(by: Meters) -> Iterator[None]:
    """`meters()` are these within the block."""
    global _meters  # noqa: PLW0603 - one process has one set of counts
    before, _meters = _meters, by
    try:
        yield
    finally:
        _meters = before
