"""While the log is read for one row's story, others are refused at once, and the page's other answers come."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from consumers.explain.story import explain
from consumers.folds.deduplicate import ReadProgress
from consumers.index.follow import Follower
from consumers.web.answers import while_wanted
from consumers.web.api import PageApi
from infra.log.archive import ArchiveSource
from infra.log.source import Source
from tests.golden import HERE


def test_only_one_story_is_read_at_a_time_and_an_archives_is_kept(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    read: list[str] = []

    def slowly(source: Source, id: str, progress: ReadProgress) -> Any:
        read.append(id)
        begun.set()
        assert go_on.wait(20)
        return explain(source, id, progress)

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

        assert (refused.status_code, refused.json()["busy"], answers) == (202, True, [200])
        assert [client.get(f"/api/runs/a/rows/{id}/story").status_code for id in (first, second, second)] == [200] * 3
        assert read == [first, second]


def test_a_story_that_nobody_waits_for_is_not_read_to_its_end() -> None:
    """The server looks now and then whether the browser is still there."""
    read = 0

    def forever(request: Request, watch: ReadProgress) -> Response:
        nonlocal read
        for _ in range(2_000):
            read += 1
            watch(1)
            time.sleep(0.01)
        return Response()

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def asked() -> Response:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        return await while_wanted(forever)(Request(scope, receive))

    assert asyncio.run(asked()).status_code == 499
    assert 0 < read < 500


def test_a_story_ends_with_the_server() -> None:
    ended = threading.Event()

    def forever(request: Request, watch: ReadProgress) -> Response:
        try:
            for _ in range(500):
                watch(1)
                time.sleep(0.01)
        finally:
            ended.set()
        return Response()

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def asked() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        answering = asyncio.create_task(while_wanted(forever)(Request(scope, receive)))
        await asyncio.sleep(0.1)
        answering.cancel()

    begun = time.monotonic()
    asyncio.run(asked())
    assert ended.wait(20) and time.monotonic() - begun < 3


def test_the_log_from_a_place_has_the_other_partitions_from_its_time(tmp_path: Path) -> None:
    with Follower(ArchiveSource(HERE / "undisturbed"), tmp_path) as follower:
        follower._read_archive()
        client = TestClient(Starlette(routes=PageApi({"a": follower}, list, explain, None, lambda: False).routes()))
        everything = client.get("/api/runs/a/log?topics=generated,kept,calls&after=").json()["lines"]
        named = next(line for line in everything if (line["topic"], line["at"]) == ("generated", 20))
        found = client.get("/api/runs/a/log?topics=generated,kept,calls&from=generated/0:20").json()["lines"]
        by_time = client.get(f"/api/runs/a/log?topics=generated,kept,calls&from={named['ms']}").json()["lines"]
        refused = client.get("/api/runs/a/log?topics=kept&from=generated/0:20")
    assert found == by_time == [line for line in everything if line["ms"] >= named["ms"]]
    assert {line["topic"] for line in found} == {"generated", "kept", "calls"}
    assert (refused.status_code, refused.json()["error"].split(".")[0]) == (400, "generated/0 is not shown")
