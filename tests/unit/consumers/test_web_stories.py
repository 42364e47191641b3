"""While the log is read for one row's story, others are refused at once, and the page's other answers come."""

import threading
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from consumers.explain.story import explain
from consumers.index.follow import Follower
from consumers.web.api import PageApi
from infra.log.archive import ArchiveSource
from infra.log.source import Source
from tests.golden import HERE


def test_only_one_story_is_read_at_a_time_and_an_archives_is_kept(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    read: list[str] = []

    def slowly(source: Source, id: str) -> Any:
        read.append(id)
        begun.set()
        assert go_on.wait(20)
        return explain(source, id)

    with Follower(ArchiveSource(HERE / "undisturbed"), tmp_path) as follower:
        follower._read_archive()
        api = PageApi({"a": follower}, list, slowly, None, lambda: False)
        client = TestClient(Starlette(routes=api.routes()))
        first, second = (row["id"] for row in client.get("/api/runs/a/rows").json()["rows"][:2])
        answers: list[int] = []
        reading = threading.Thread(
            target=lambda: answers.append(client.get(f"/api/runs/a/rows/{first}/story").status_code)
        )
        reading.start()
        assert begun.wait(20)
        refused = client.get(f"/api/runs/a/rows/{second}/story")
        go_on.set()
        reading.join(20)

        assert (refused.status_code, refused.json()["busy"], answers) == (503, True, [200])
        assert [client.get(f"/api/runs/a/rows/{id}/story").status_code for id in (first, second, second)] == [200] * 3
        assert read == [first, second]
