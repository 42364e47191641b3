"""The page's studies: other thresholds are what `what_if` gives, and the map places rows as the classifier does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.testclient import TestClient

from consumers.evaluation.report import evaluation_report
from consumers.evaluation.tables import tables as tables_of
from consumers.explain.story import explain
from consumers.index import tables
from consumers.index.follow import Follower
from consumers.replay.what_if import what_if
from consumers.web.api import PageApi
from consumers.web.map import MapPoints
from infra.log.archive import ArchiveSource
from schemas.errors import ConfigurationError, RunError
from schemas.events import ClassifierFitted
from streams.core.clusters import ClusterModel
from tests.golden import HERE
from tests.unit.consumers.evaluation.evaluation_story import whole_evaluation
from tests.unit.consumers.recorded_run import source_of


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Follower]:
    with Follower(ArchiveSource(HERE / "undisturbed"), tmp_path_factory.mktemp("index")) as opened:
        opened._read_archive()
        yield opened


def client(follower: Follower, stopping: threading.Event | None = None) -> TestClient:
    ended = (stopping or threading.Event()).is_set
    return TestClient(Starlette(routes=PageApi({"a": follower}, list, explain, None, ended).routes()))


def decided(asked: TestClient, limit_s: float = 60.0) -> dict[str, Any]:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        state: dict[str, Any] = asked.get("/api/runs/a/what-if").json()
        assert state["error"] is None
        if len(state["found"]) == len(state["thresholds"]):
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def test_each_threshold_is_what_deciding_the_run_again_gives(follower: Follower) -> None:
    state = decided(client(follower))
    policy = follower.index.fold.configured.policy
    found = {one["threshold"]: one for one in state["found"]}
    assert list(found) == state["thresholds"] == sorted(state["thresholds"])
    assert found[policy.threshold]["outcome"]["curve"] == state["real"]["curve"]
    for threshold in (0.5, 0.9):
        expected = what_if(follower.source, replace(policy, threshold=threshold))
        one = found[threshold]
        assert (one["kept"], one["in_both"]) == (expected.what_if.kept, expected.in_both)
        assert one["kept"] == one["outcome"]["kept"] and one["outcome"]["rejected"] == expected.what_if.rejected
    assert found[0.5]["kept"] < found[0.9]["kept"]


def test_the_passes_end_with_the_server(follower: Follower) -> None:
    ending = threading.Event()
    ending.set()
    asked = client(follower, ending)
    assert asked.get("/api/runs/a/what-if").json()["found"] == []
    until = time.monotonic() + 20
    while any(thread.name == "what-if-a" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert asked.get("/api/runs/a/what-if").json()["found"] == []


def fitted(follower: Follower) -> ClassifierFitted:
    classifiers = follower.index.fold.classifiers
    return classifiers[max(classifiers)]


def test_the_map_has_every_row_where_the_classifier_puts_it(follower: Follower) -> None:
    asked = client(follower)
    found = asked.get("/api/runs/a/map").json()
    assert len(found["x"]) == found["rows"] == 92
    assert sum(cluster >= 0 for cluster in found["cluster"]) == 60
    model = ClusterModel(fitted(follower).classifier)
    for place in (0, 40, 91):
        id = asked.get(f"/api/runs/a/map/{found['number'][place]}").json()["id"]
        row = asked.get(f"/api/runs/a/rows/{id}").json()
        assert found["x"][place] == round(model.coordinates(row["instruction"])[0], 4)
        assert (found["outcomes"][found["outcome"][place]], found["at"][place]) == (row["outcome"], row["at"])
        assert found["cluster"][place] == (-1 if row["cluster"] is None else row["cluster"])
    assert asked.get("/api/runs/a/map/4000").status_code == 404


def test_of_a_run_with_more_rows_every_so_many_eth_is_shown_however_it_grew(follower: Follower) -> None:
    policy = follower.index.fold.configured.policy
    grown = MapPoints(policy, most=60)
    with tables.reading(follower.index.file) as connection:
        grown.points(connection, fitted(follower))
        grown._most = 30
        thinned = grown.points(connection, fitted(follower))
        assert thinned == MapPoints(policy, most=30).points(connection, fitted(follower))
    assert (thinned.every, thinned.number) == (4, list(range(4, 93, 4)))


def test_a_map_whose_model_cannot_be_had_says_so_each_time_and_one_goes_on_where_it_ended(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = follower.index.fold.configured.policy
    seen: list[int] = []

    def unavailable(*_: object) -> ClusterModel:
        raise ConfigurationError("There is no model of embeddings.")

    def watch() -> None:
        seen.append(1)
        if len(seen) == 40:
            raise RunError("The page's server ends.")

    points = MapPoints(policy, watch=watch)
    with tables.reading(follower.index.file) as connection:
        with monkeypatch.context() as without:
            without.setattr("consumers.web.map.ClusterModel", unavailable)
            for _ in range(2):
                with pytest.raises(ConfigurationError):
                    points.points(connection, fitted(follower))
        with pytest.raises(RunError):
            points.points(connection, fitted(follower))
        assert points.points(connection, fitted(follower)) == MapPoints(policy).points(connection, fitted(follower))
    assert len(seen) == 92 + 1  # none is placed twice


def test_an_evaluation_is_there_where_the_log_has_one(follower: Follower, tmp_path: Path) -> None:
    asked = client(follower)
    assert asked.get("/api/runs").json()["runs"][0]["evaluated"] is False
    assert asked.get("/api/runs/a/evaluation").json() == {"tables": [], "notes": []}
    with Follower(source_of(whole_evaluation()), tmp_path) as evaluated:
        evaluated._read_archive()
        expected = tables_of(evaluation_report(evaluated.source))
        asked = client(evaluated)
        assert asked.get("/api/runs").json()["runs"][0]["evaluated"] is True
        shown = asked.get("/api/runs/a/evaluation").json()["tables"]
    rows = [(one["title"], tuple(map(tuple, one["rows"]))) for one in shown]
    assert rows == [(one.title, one.rows) for one in expected]
    assert len(shown) > 5
