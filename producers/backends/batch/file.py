"""The lines of a batch's files: requests as they are sent, and outcomes as they come back.

    {"custom_id": …, "method": "POST", "url": …, "body": {…}}                               a request
    {"custom_id": …, "response": {"status_code": 200, "body": {…}}, "error": null}           an outcome
    {"custom_id": …, "response": null, "error": {"code": "batch_expired", "message": …}}    one not carried out

A custom id names the request and the attempt. Lines that cannot be read, or are of no request of the batch, are passed
over: what has no outcome then is seen from what is missing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from openai.types import Completion
from openai.types.chat import ChatCompletion

from producers.backends.base import Answer, CallFailure, CallPlace, FailureKind, Request, Transient
from producers.backends.error_bodies import read_error
from producers.backends.openai import OpenAIBackend

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
_NOT_CARRIED_OUT = re.compile(r"batch_(expired|cancelled)|(expired|cancelled)_batch")
_ID = re.compile(r"([0-9a-f-]{36})/(\d{1,9})")


@dataclass(frozen=True)
class RequestLine:
    """A request of a batch. `raw`: its line without the line feed."""

    request_id: str
    attempt: int
    url: str
    raw: bytes


@dataclass(frozen=True)
class OutcomeLine:
    """What came back for a request: either may be None or of any type.

    latency_s   from the batch's creation to its end
    """

    request_id: str
    attempt: int
    response: Any
    error: Any
    latency_s: float = 0.0

    @property
    def answered(self) -> bool:
        return isinstance(self.response, dict) and self.response.get("status_code") == 200


@dataclass(frozen=True)
class Missing:
    """A request that no file of its batch names. `carried_out`: it may have been answered, and paid for."""

    why: str
    carried_out: bool


def request_line(backend: OpenAIBackend, request: Request, place: CallPlace) -> RequestLine:
    """The line of a request."""
    body = backend.body_of(request)
    url = COMPLETION if "prompt" in body else CHAT
    line = {"custom_id": f"{place.request_id}/{place.attempt}", "method": "POST", "url": url, "body": body}
    return RequestLine(place.request_id, place.attempt, url, msgspec.json.encode(line))


def outcome_line(raw: bytes, latency_s: float) -> OutcomeLine | None:
    """An outcome; None: the line is no JSON, or names no request."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    found = _ID.fullmatch(str(line.get("custom_id")))
    if found is None:
        return None
    return OutcomeLine(found[1], int(found[2]), line.get("response"), line.get("error"), latency_s)


def answer_of(backend: OpenAIBackend, request: Request, found: OutcomeLine | Missing) -> Answer:
    """The answer to a request. Raises CallFailure."""
    if isinstance(found, Missing):
        raise Transient(found.why, kind=FailureKind.TIME_OUT, perhaps_paid=found.carried_out)
    response = found.response
    if not isinstance(response, dict):
        raise _failure(backend, found.error)
    status, body = response.get("status_code"), response.get("body")
    if not isinstance(status, int) or not 200 <= status < 300:
        raise backend.failure(status if isinstance(status, int) else 500, read_error(json.dumps(body)), {})
    return backend.read(request, _parsed(request, body), found.latency_s)


def _parsed(request: Request, body: Any) -> Any:
    """A body as the client makes it of a response."""
    if not isinstance(body, dict):
        return body
    kind = Completion if request.prompt is not None else ChatCompletion
    try:
        return kind.construct(**body)
    except (TypeError, ValueError, RecursionError):
        return None


def _failure(backend: OpenAIBackend, error: Any) -> CallFailure:
    """The failure for a line without a response."""
    if not error:
        text = "The batch's output has a line that holds no answer."
        return Transient(text, kind=FailureKind.GARBLED, perhaps_paid=True)
    read = read_error(json.dumps({"error": error}))
    if any(_NOT_CARRIED_OUT.fullmatch(code) for code in read.codes):
        return Transient(f"The batch ended before this request was carried out: {read.text}", kind=FailureKind.TIME_OUT)
    return backend.failure(500, read, {})


def lines_of(chunk: bytes, rest: bytearray, most_bytes: int) -> Iterator[bytes]:
    """The lines that a further chunk of a file completes; `rest` keeps the beginning of the next one.

    Of a line longer than `most_bytes` nothing is kept but its first bytes: it is no JSON then.
    """
    first, *others = chunk.split(b"\n")
    rest += first[: max(0, most_bytes - len(rest))]
    for other in others:
        yield bytes(rest)
        rest[:] = other[:most_bytes]
