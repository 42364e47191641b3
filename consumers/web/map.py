"""Rows in the plane of a run's classifier, for a page: the first two axes of the classifier that is in force last.

Of a run with more than `MOST` rows every second is shown, every fourth, and so on: a sample that holds as many rows
from each part of the run. Coordinates are computed once a row and classifier; verdicts and clusters are the recorded
ones. The recorded cluster is by the classifier of its time, so with a later one a row's neighbours may have others.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import msgspec

from infra.models.embeddings import embedder_for
from schemas.events import ClassifierFitted
from schemas.policy import Policy
from streams.core.clusters import ClusterModel

MOST = 20_000
_AT_ONCE = 500
_DIGITS = 4
_OUTCOMES = ("undecided", "kept", "rejected")


class RowMap(msgspec.Struct, frozen=True, kw_only=True):
    """Points in the order of the rows, column by column.

    rows             in the run; every `every`-th is a point
    axes             of the classifier; with one only, y is the generation's offset
    x, y             coordinates
    outcome          place in `outcomes`
    cluster          recorded; -1: none
    number, at, ms   of the row in the index, of its generation on `generated`, and when that was written
    cuts             of the first axis, and of the second one left and right of that
    fitted_from      offset of `generated` that the classifier is in force from
    """

    rows: int
    every: int
    axes: int
    clusters: int
    outcomes: tuple[str, ...]
    number: list[int]
    x: list[float]
    y: list[float]
    outcome: list[int]
    cluster: list[int]
    at: list[int]
    ms: list[int | None]
    cuts: tuple[tuple[float, ...], ...]
    fitted_from: int
    fitted_on: str


class MapPoints:
    """The coordinates of a run's rows so far; one request at a time. `watch` is called at each row that is placed, and
    may raise: the next request goes on from there."""

    def __init__(self, policy: Policy, most: int = MOST, watch: Callable[[], None] = lambda: None) -> None:
        self._policy = policy
        self._watch = watch
        self._most = most
        self._busy = threading.Lock()
        self._begin(None)

    def _begin(self, fitted: ClassifierFitted | None) -> None:
        self._model = None
        self._fitted = None  # as long as the model cannot be had
        if fitted is not None:
            embedder = embedder_for(self._policy) if fitted.classifier.vectorizer == "embeddings" else None
            self._model = ClusterModel(fitted.classifier, embedder)
        self._fitted = fitted
        self._places: dict[int, tuple[float, float]] = {}  # by number, ascending
        self._every, self._last = 1, 0

    def points(self, connection: sqlite3.Connection, fitted: ClassifierFitted) -> RowMap:
        """The map as of an index, by a classifier."""
        with self._busy:
            if self._fitted is None or fitted.from_offset != self._fitted.from_offset:
                self._begin(fitted)
            ((rows,),) = connection.execute("SELECT ifnull(max(number), 0) FROM row")
            while rows // self._every > self._most:
                self._every *= 2
                self._places = {number: place for number, place in self._places.items() if number % self._every == 0}
            first = self._last - self._last % self._every + self._every
            for number, text in _looked_up(connection, "number, instruction", range(first, rows + 1, self._every)):
                self._watch()
                self._places[number] = self._place(text)
                self._last = number
            self._last = rows
            return self._map(connection, rows, fitted)

    def _place(self, text: str) -> tuple[float, float]:
        assert self._model is not None
        x, y, *_ = *self._model.coordinates(text), 0.0, 0.0
        return round(x, _DIGITS), round(y, _DIGITS)

    def _map(self, connection: sqlite3.Connection, rows: int, fitted: ClassifierFitted) -> RowMap:
        found = list(_looked_up(connection, "number, outcome, ifnull(cluster, -1), at", self._places))
        axes = len(fitted.classifier.components)
        offsets = {at for *_, at in found}
        times = dict(_looked_up(connection, "at, ms", offsets, "generation", "at"))
        return RowMap(
            rows=rows,
            every=self._every,
            axes=axes,
            clusters=self._policy.clusters,
            outcomes=_OUTCOMES,
            number=[number for number, *_ in found],
            x=[self._places[number][0] for number, *_ in found],
            y=[self._places[number][1] if axes > 1 else float(at) for number, *_, at in found],
            outcome=[_OUTCOMES.index(outcome) for _, outcome, *_ in found],
            cluster=[cluster for *_, cluster, _ in found],
            at=[at for *_, at in found],
            ms=[times.get(at) for *_, at in found],
            cuts=fitted.classifier.cuts[:2],
            fitted_from=fitted.from_offset,
            fitted_on=fitted.fitted_on,
        )


def _looked_up(
    connection: sqlite3.Connection, columns: str, keys: Iterable[int], table: str = "row", key: str = "number"
) -> Iterable[tuple[Any, ...]]:
    """Columns of the lines with these keys, in the order of the keys; keys without a line are left out."""
    rest = iter(keys)
    while some := list(islice(rest, _AT_ONCE)):
        wanted = ", ".join(map(str, some))
        yield from map(tuple, connection.execute(f"SELECT {columns} FROM {table} WHERE {key} IN ({wanted}) ORDER BY 1"))
