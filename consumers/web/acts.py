"""What the page does to a run: commands that write an event, so what was done, and why, is on the log.

An act is asked for twice. Without `confirmed` nothing is written, and the answer says what would follow; with it the
act is done. Only a server with a token has acts, and `consumers.web.guard` lets such a request through only from the
page itself. What the acts are is given by who starts the server (`sedi.web`).
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumers.web.answers import FRESH, as_json, refused
from schemas.errors import ConfigurationError, RunError, SediError

Act = Callable[[str, Mapping[str, str], bool], Sequence[str]]
"""Does something to a run with some arguments, if it is confirmed (the last one). Returns in sentences what follows, or
followed. Raises SediError."""

_MOST_BYTES = 16 * 1024


class AskedAct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    arguments: dict[str, str]
    confirmed: bool = False


class PageActs:
    """The acts of a page by their names; `run_of`: the run on the cluster that a request means, RunError for another
    one or an archive."""

    def __init__(self, acts: Mapping[str, Act], run_of: Callable[[Request], str]) -> None:
        self._acts = acts
        self._run_of = run_of

    def routes(self, run: str) -> list[Route]:
        return [Route(f"{run}/acts/{{act}}", self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                return JSONResponse({"error": "That is more than an act needs."}, status_code=413, headers=FRESH)
        try:
            return as_json({"follows": await run_in_threadpool(self._act, request, body)})
        except SediError as error:
            return refused(error)

    def _act(self, request: Request, body: bytes) -> Sequence[str]:
        name = request.path_params["act"]
        if name not in self._acts:
            raise RunError(f"There is no act {name[:60]!r}. There are: {', '.join(self._acts) or 'none'}.")
        run = self._run_of(request)
        try:
            asked = msgspec.json.decode(body, type=AskedAct)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"That is no request for an act: {error}") from error
        return self._acts[name](run, asked.arguments, asked.confirmed)
