"""What the page asks for that takes computing: the map of the rows, other thresholds, and the evaluations.

None of it changes anything on the log. Maps and evaluations are made by one request at a time; other thresholds are
tried in the background.
"""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from consumers.evaluation.report import evaluation_report, is_empty
from consumers.evaluation.tables import tables
from consumers.folds.deduplicate import ReadProgress
from consumers.index import tables as index_tables
from consumers.index.follow import Follower
from consumers.web.answers import OneAtATime, as_json, number
from consumers.web.map import MapPoints
from consumers.web.what_if import WhatIfStudies
from infra.log.source import Source
from schemas.errors import RunError

EVALUATION_TOPICS = frozenset({"measured", "answers", "judgements"})


def is_evaluated(follower: Follower) -> bool:
    """Whether the log has anything of an evaluation."""
    return any(end > 0 for (topic, _), end in follower.index.committed.items() if topic in EVALUATION_TOPICS)


class PageStudies:
    """The studies of a page's runs; `follower_of`: the run that a request names, RunError when there is none."""

    def __init__(self, follower_of: Callable[[Request], Follower], stopping: Callable[[], bool]) -> None:
        self._follower_of = follower_of
        self._stopping = stopping
        self._other_thresholds = WhatIfStudies(stopping)
        self._maps: dict[str, MapPoints] = {}
        self._evaluations: dict[str, tuple[object, dict[str, Any]]] = {}
        self._mapping = OneAtATime("The map of another page is being made.")
        self._evaluating = OneAtATime("The evaluations are being read for another page.")

    def routes(self, run: str) -> Mapping[str, Callable[[Request], Response]]:
        """The functions by their paths; `run` is the beginning of each."""
        return {
            f"{run}/what-if": self._what_if,
            f"{run}/map": lambda request: self._mapping(lambda: self._map(request)),
            f"{run}/map/{{number}}": self._row_of_point,
            f"{run}/evaluation": lambda request: self._evaluating(lambda: self._evaluation(request)),
        }

    def _what_if(self, request: Request) -> Response:
        follower = self._follower_of(request)
        policy = follower.index.look(lambda fold: fold.configured.policy)
        again = request.query_params.get("again") == "1"
        return as_json(self._other_thresholds.state(request.path_params["run"], follower.source, policy, again=again))

    def _map(self, request: Request) -> Any:
        follower = self._follower_of(request)
        policy, classifiers = follower.index.look(lambda fold: (fold.configured.policy, dict(fold.classifiers)))
        if not classifiers:
            raise RunError("The log has no classifier so far: the filter writes the first one when it begins.")
        points = self._maps.setdefault(request.path_params["run"], MapPoints(policy, watch=self._watch))
        with index_tables.reading(follower.index.file) as connection:
            return points.points(connection, classifiers[max(classifiers)])

    def _row_of_point(self, request: Request) -> Response:
        """The id of a row by its number in the index."""
        wanted = number("number", request.path_params["number"])
        with index_tables.reading(self._follower_of(request).index.file) as connection:
            found = connection.execute("SELECT id FROM row WHERE number = ?", (wanted,)).fetchone()
        if found is None:
            raise RunError(f"There is no row {wanted}.")
        return as_json({"id": found["id"]})

    def _evaluation(self, request: Request) -> Any:
        follower = self._follower_of(request)
        name, ends = request.path_params["run"], follower.index.committed
        read_to = {place: end for place, end in ends.items() if place[0] in EVALUATION_TOPICS}
        known = self._evaluations.get(name)
        if known is None or known[0] != read_to:
            known = read_to, _evaluation_of(follower.source, lambda read: self._watch())
            self._evaluations[name] = known
        return known[1]

    def _watch(self) -> None:
        """Raise RunError when the server ends: it would wait for the thread."""
        if self._stopping():
            raise RunError("The page's server ends.")


def _evaluation_of(source: Source, progress: ReadProgress) -> dict[str, Any]:
    report = evaluation_report(source, progress=progress)
    shown = [] if is_empty(report) else tables(report)
    return {
        "tables": [{"title": table.title, "head": table.columns, "rows": table.rows} for table in shown],
        "notes": report.notes if shown else (),
    }
