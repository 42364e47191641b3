"""Answers as JSON, errors of this project as such, and what only one request at a time may do."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.errors import ConfigurationError, RunError, SediError

FRESH = {"cache-control": "no-store"}


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


def number(name: str, text: str) -> int:
    """A whole number of an address. Raises ConfigurationError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ConfigurationError(f"{name} is {text[:60]!r}, and must be a whole number.")
    return int(text)


class OneAtATime:
    """Lets one request at a time do long work; others are refused at once and ask again: threads that wait would leave
    none for the rest of the page. `text`: what they are told."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at_work = threading.Lock()

    def __call__(self, work: Callable[[], Any]) -> Response:
        if not self._at_work.acquire(blocking=False):
            busy = {"error": self._text, "busy": True}
            return JSONResponse(busy, status_code=503, headers={**FRESH, "retry-after": "1"})
        try:
            return as_json(work())
        finally:
            self._at_work.release()
