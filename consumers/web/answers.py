"""Answers as JSON, errors of this project as such, and what only one request at a time may do."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consumers.folds.deduplicate import ReadProgress
from schemas.errors import ConfigurationError, RunError, SediError

FRESH = {"cache-control": "no-store"}
_WANTED_S = 0.25  # between two looks whether an answer is still waited for


def as_json(found: Any) -> Response:
    return Response(msgspec.json.encode(found), media_type="application/json", headers=FRESH)


def refused(error: SediError) -> Response:
    status = 404 if isinstance(error, RunError) else 400 if isinstance(error, ConfigurationError) else 503
    return JSONResponse({"error": str(error)}, status_code=status, headers=FRESH)


def answering(function: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Errors of ours as JSON. The function is no coroutine, so Starlette runs it in a thread."""

    def answer(request: Request) -> Response:
        try:
            return function(request)
        except SediError as error:
            return refused(error)

    return answer


class _Unwanted(Exception):
    """Nobody waits for the answer any more."""


def while_wanted(function: Callable[[Request, ReadProgress], Response]) -> Callable[[Request], Awaitable[Response]]:
    """A function that reads much, and ends when the one who asked has gone. It calls what it is given as it reads."""

    async def answer(request: Request) -> Response:
        gone = threading.Event()

        def watch(read: int) -> None:
            if gone.is_set():
                raise _Unwanted

        reading = asyncio.create_task(run_in_threadpool(answering(lambda asked: function(asked, watch)), request))
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=_WANTED_S)
                if await request.is_disconnected():
                    gone.set()
            return await reading
        except _Unwanted:
            return Response(status_code=499)
        finally:
            gone.set()  # also where the server ends, which waits for the thread

    return answer


def number(name: str, text: str) -> int:
    """A whole number of an address. Raises ConfigurationError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ConfigurationError(f"{name} is {text[:60]!r}, and must be a whole number.")
    return int(text)


class OneAtATime:
    """Lets one request at a time do long work; others are told so at once, with 202, and ask again: threads that wait
    would leave none for the rest of the page. `text`: what they are told."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at_work = threading.Lock()

    def __call__(self, work: Callable[[], Any]) -> Response:
        if not self._at_work.acquire(blocking=False):
            busy = {"error": self._text, "busy": True}
            return JSONResponse(busy, status_code=202, headers={**FRESH, "retry-after": "1"})
        try:
            return as_json(work())
        finally:
            self._at_work.release()
