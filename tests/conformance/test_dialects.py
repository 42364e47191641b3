"""Every form of every server, sent over HTTP to the backend that generators use."""

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from producers.backends.base import (
    Answer,
    CallFailure,
    EndpointRefused,
    Message,
    Place,
    Request,
    RequestRefused,
    Transient,
)
from producers.backends.openai import OpenAIBackend
from schemas.events import Usage
from streams.core.answer_text import answer_text, was_cut
from tests.conformance.dialects import FORMS
from tests.conformance.forms import Answered, Ends, Form, Refused, Said, Waits
from tests.unit.producers.endpoint import bytes_of, serving

CHAT = Request(messages=(Message("user", "Name three rivers."),))
COMPLETION = Request(prompt="Three rivers:")
PLACE = Place("main", 0, 0, 1, "8c0c6a1e-0000-5000-8000-000000000000")
SAID = Said()
PATIENCE_S = 10.0
SILENCE_S = 0.2
"""Seconds after which the client gives up a server that says nothing."""

_ORDER = tuple(FORMS)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """One server for all forms, each at a base URL of its own. Gives the part of it that they share."""
    with serving(_send) as url:
        yield url.removesuffix("/v1")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_backend_gives_what_a_form_means(form: Form, server: str) -> None:
    found = _complete(form, server)
    counted = Usage(prompt_tokens=SAID.prompt_tokens, completion_tokens=SAID.completion_tokens)
    assert found.usage == (counted if form.worked and form.tells else None)
    if isinstance(found, Answer):
        _is_the_answer(found, form)
    else:
        assert found.perhaps_paid is (form.worked and not form.tells)
        _is_the_failure(found, form)


def _is_the_answer(found: Answer, form: Form) -> None:
    want = form.want
    assert isinstance(want, Answered), f"an answer, not {want}"
    assert found.raw == want.text(SAID)
    assert answer_text(found.raw).text.strip() == want.reads(SAID)
    assert found.reasoning == want.reasoning(SAID)
    assert found.finish_reason == want.finish_reason
    if form.kind in ("plain", "cut"):
        assert was_cut(found.finish_reason) is (form.kind == "cut")


def _is_the_failure(found: CallFailure, form: Form) -> None:
    match form.want:
        case Waits(says, kind, asks):
            assert isinstance(found, Transient), found
            assert found.kind is kind
            assert found.retry_after_s == (SAID.wait_s if asks else None)
        case Refused(says, reason):
            assert isinstance(found, RequestRefused), found
            assert found.reason == reason
        case Ends(says):
            assert isinstance(found, EndpointRefused), found
        case Answered():
            raise AssertionError(f"an answer was wanted, not: {found}") from found
    assert says in str(found)


def _complete(form: Form, server: str) -> Answer | CallFailure:
    async def call() -> Answer:
        backend = OpenAIBackend(
            model=SAID.model,
            base_url=f"{server}/{_ORDER.index(form.id)}/v1",
            timeout_s=SILENCE_S if form.reply(SAID).how == "silent" else PATIENCE_S,
        )
        try:
            return await backend.complete(COMPLETION if form.api == "completion" else CHAT, PLACE)
        finally:
            await backend.close()

    try:
        return asyncio.run(call())
    except CallFailure as failure:
        return failure


def _send(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the form whose number the path begins with."""
    reply = FORMS[_ORDER[int(handler.path.split("/")[1])]].reply(SAID)
    if reply.how == "nothing":
        return
    if reply.how == "silent":
        handler.connection.recv(1)  # until the client has gone
        return
    raw = bytes_of(reply.body, reply.headers)
    handler.send_response(reply.status)
    for name, value in {"content-type": reply.content_type, **reply.headers}.items():
        handler.send_header(name, value)
    if reply.how == "endless":
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65_536)
    handler.send_header("content-length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw[: len(raw) // 2] if reply.how == "half" else raw)
