"""The page's server: follows the runs, and answers at an address until it is ended.

The port is taken before the logs are read, so an address that is in use is an error at once. Ctrl-C and SIGTERM end it:
what comes in ends first, then the indexes are written. `/metrics`, `/healthz` and `/readyz` are paths of it.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from consumers.index.follow import Follower
from consumers.web.acts import Act
from consumers.web.api import PageApi
from consumers.web.files import PageFiles
from consumers.web.guard import Guard, PageAccess
from consumers.web.metrics import CountedRequests, metric_routes
from consumers.web.story import Explain
from infra.observed import observation
from schemas.errors import ConfigurationError

_END_S = 2


class PageServer:
    """The page of some runs. `listen` first, then `serve`, which returns when `end` is called or a signal comes."""

    def __init__(
        self,
        runs: Mapping[str, Follower],
        *,
        host: str,
        port: int,
        token: str | None,
        explain: Explain,
        others: Callable[[], list[str]] = list,
        max_usd: float | None = None,
        acts: Mapping[str, Act] | None = None,
    ) -> None:
        files = PageFiles()
        PageAccess(host, port, token)
        self._socket = _listening(host, port)
        self.access = PageAccess(host, self._socket.getsockname()[1], token, files.scripts)
        api = PageApi(runs, others, explain, max_usd, lambda: self._server.should_exit, acts if token and acts else {})
        page = [Route("/", files.answer, methods=["GET"]), Route("/static/{path:path}", files.answer, methods=["GET"])]
        routes = [*api.routes(), *page, *metric_routes(observation().answers)]
        config = uvicorn.Config(
            CountedRequests(Guard(Starlette(routes=routes), self.access)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http="h11",
            loop="asyncio",
            timeout_graceful_shutdown=_END_S,
        )
        self._server = uvicorn.Server(config)
        self._runs = runs

    def serve(self) -> None:
        for follower in self._runs.values():
            follower.start()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        turning = asyncio.create_task(observation().turn())
        observation().ready("it shows the runs")
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            turning.cancel()

    def end(self) -> None:
        """End `serve`, from any thread."""
        self._server.should_exit = True

    def close(self) -> None:
        self._socket.close()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigurationError(
            f"{host}:{port} cannot be listened at: {error}. Give another --port or --host."
        ) from error
    return found
