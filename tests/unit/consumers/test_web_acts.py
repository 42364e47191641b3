"""An act of the page: what would follow first, then, confirmed, the act; archives and unknown acts are refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from consumers.explain.story import explain
from consumers.index.follow import Follower
from consumers.web.api import PageApi
from infra.log.archive import ArchiveSource
from schemas.errors import ConfigurationError
from tests.golden import HERE


def test_nothing_is_done_before_it_is_confirmed(tmp_path: Path) -> None:
    asked: list[tuple[str, Mapping[str, str], bool]] = []

    def withdraw(run: str, arguments: Mapping[str, str], confirmed: bool) -> Sequence[str]:
        if "document" not in arguments:
            raise ConfigurationError("Which document?")
        asked.append((run, arguments, confirmed))
        return ["Done."] if confirmed else ["Would be done."]

    with Follower(ArchiveSource(HERE / "undisturbed"), tmp_path) as follower:
        follower._read_archive()
        follower.live = True
        api = PageApi({"a": follower}, list, explain, None, lambda: False, {"withdraw": withdraw})
        client = TestClient(Starlette(routes=api.routes()))
        path, given = "/api/runs/a/acts/withdraw", {"document": "d", "reason": "r"}
        assert client.get("/api/runs").json()["acts"] == ["withdraw"]
        assert client.post(path, json={"arguments": given}).json() == {"follows": ["Would be done."]}
        assert client.post(path, json={"arguments": given, "confirmed": True}).json() == {"follows": ["Done."]}
        assert [confirmed for *_, confirmed in asked] == [False, True] and asked[1][0] == follower.source.run

        refused: dict[int, list[tuple[str, Any]]] = {
            400: [(path, {"arguments": {}}), (path, {"confirmed": True}), (path, {"arguments": {"document": 1}})],
            404: [
                (path.replace(one, other), {"arguments": given}) for one, other in (("withdraw", "x"), ("/a/", "/b/"))
            ],
            413: [(path, {"arguments": {"document": "d" * 20_000}})],
        }
        for status, requests in refused.items():
            assert [client.post(where, json=body).status_code for where, body in requests] == [status] * len(requests)
        follower.live = False
        archive = client.post(path, json={"arguments": given, "confirmed": True})
        assert (archive.status_code, "archive" in archive.json()["error"]) == (404, True)
        assert client.get(path).status_code == 405
    assert len(asked) == 2
