"""Every form of every server, sent over HTTP to the backend that generators use."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from producers.backends.base import (
    Answer,
    CallFailure,
    CallPlace,
    EndpointRefused,
    Message,
    Request,
    RequestRefused,
    Transient,
)
from producers.backends.openai import OpenAIBackend
from schemas.events import Usage
from streams.core.parse.answer_text import answer_text, was_cut
from tests.conformance.dialects import FORMS
from tests.conformance.forms import KINDS, Answered, Api, Ends, Form, Payload, Refused, Waits
from tests.conformance.server import served

PLACE = CallPlace("main", 0, 0, 1, "8c0c6a1e-0000-5000-8000-000000000000")
PAYLOAD = Payload()
PATIENCE_S = 10.0
SILENCE_S = 0.2
"""Seconds after which the client gives up a server that says nothing."""

ROUNDED_S = 1.0
"""What may be missing from a wait given as a time of day."""

Ask = Callable[[Form], Answer | CallFailure]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Send a form to the backend. One server and one loop serve all forms; the prompt names the form."""
    with served(_named) as (url, _), asyncio.Runner() as runner:
        backends = {seconds: _backend(url, seconds) for seconds in (PATIENCE_S, SILENCE_S)}

        def asked(form: Form) -> Answer | CallFailure:
            backend = backends[SILENCE_S if form.reply(PAYLOAD).how == "silent" else PATIENCE_S]
            try:
                return runner.run(backend.complete(_request(form), PLACE))
            except CallFailure as failure:
                return failure

        yield asked
        for backend in backends.values():
            runner.run(backend.close())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_backend_gives_what_a_form_means(form: Form, ask: Ask) -> None:
    found = ask(form)
    counted = Usage(
        prompt_tokens=PAYLOAD.prompt_tokens,
        completion_tokens=PAYLOAD.completion_tokens,
        cached_tokens=form.cached(PAYLOAD),
    )
    assert found.usage == (counted if form.worked and form.tells else None)
    if isinstance(found, Answer):
        _is_the_answer(found, form)
    else:
        assert found.perhaps_paid is (form.worked and not form.tells)
        _is_the_failure(found, form)


def test_every_kind_has_a_form_and_every_form_a_kind() -> None:
    assert {form.kind for form in FORMS.values()} == set(KINDS)


def _is_the_answer(found: Answer, form: Form) -> None:
    want = form.want
    assert isinstance(want, Answered), f"an answer, not {want}"
    assert found.raw == want.text(PAYLOAD)
    assert answer_text(found.raw).text.strip() == want.reads(PAYLOAD)
    assert found.reasoning == want.reasoning(PAYLOAD)
    assert found.finish_reason == want.finish_reason
    if form.kind in ("plain", "cut"):
        assert was_cut(found.finish_reason) is (form.kind == "cut")


def _is_the_failure(found: CallFailure, form: Form) -> None:
    match form.want:
        case Waits(says, kind, asks):
            assert isinstance(found, Transient), found
            assert found.kind is kind
            wanted = pytest.approx(PAYLOAD.wait_s, abs=ROUNDED_S) if asks else None
            assert found.retry_after_s == wanted
        case Refused(says, reason):
            assert isinstance(found, RequestRefused), found
            assert found.reason == reason
        case Ends(says):
            assert isinstance(found, EndpointRefused), found
        case Answered():
            raise AssertionError(f"an answer was wanted, not: {found}") from found
    assert says in str(found)


def _backend(url: str, timeout_s: float) -> OpenAIBackend:
    return OpenAIBackend(model=PAYLOAD.model, base_url=url, timeout_s=timeout_s)


def _request(form: Form) -> Request:
    return Request(prompt=form.id) if form.api == "completion" else Request(messages=(Message("user", form.id),))


def _named(body: bytes, before: int, api: Api) -> tuple[Form, Payload]:
    """The plan of the server: the prompt names the form."""
    asked = json.loads(body)
    return FORMS[asked["prompt"] if api == "completion" else asked["messages"][0]["content"]], PAYLOAD
