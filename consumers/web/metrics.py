"""`/metrics`, `/healthz` and `/readyz` of the page's server: paths beside the page, for those who may see the page."""

import time
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.metrics.declared import REQUEST_S, REQUESTS
from infra.metrics.meters import meters


def metric_routes(answers: Mapping[str, Callable[[str], tuple[int, bytes, str]]]) -> list[Route]:
    """A route for each path. They run in threads: readiness may ask the cluster."""

    def route(path: str, answer: Callable[[str], tuple[int, bytes, str]]) -> Route:
        def answered(request: Request) -> Response:
            status, body, content_type = answer(request.headers.get("accept", ""))
            return Response(body, status, headers={"content-type": content_type})

        return Route(path, answered, methods=["GET"])

    return [route(path, answer) for path, answer in answers.items()]


class CountedRequests:
    """Counts what an application answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                meters().add(REQUESTS, 1, f"{message['status'] // 100}xx")
                meters().observe(REQUEST_S, time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, counted)
