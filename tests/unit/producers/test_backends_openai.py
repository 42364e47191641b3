"""The OpenAI-compatible backend makes one HTTP request a call, and reports its answer or failure."""

import asyncio
import socket
import sys
import time
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import SecretStr

from infra.settings import Settings
from producers.backends import bounded
from producers.backends.base import (
    Answer,
    CallFailure,
    CallPlace,
    EndpointRefused,
    Message,
    Request,
    RequestRefused,
    Sampling,
    Transient,
)
from producers.backends.builtin.backend import BuiltinBackend
from producers.backends.openai import OpenAIBackend
from schemas.errors import ConfigurationError
from schemas.events import Usage
from tests.unit.producers.endpoint import Endpoint, Reply, chat, completion, endless, endpoint, error

HELLO = Request(messages=(Message("system", "Be kind."), Message("user", "Hello?")))
PLACE = CallPlace("main", 0, 0, 1, "8c0c6a1e-0000-5000-8000-000000000000")
KEY = "sk-secret-0123456789"


def ask(served: Endpoint | str, request: Request = HELLO, **options: Any) -> Answer:
    async def call() -> Answer:
        url = served if isinstance(served, str) else served.url
        backend = OpenAIBackend(model="tiny", base_url=url, **{"timeout_s": 5.0, **options})
        try:
            return await backend.complete(request, PLACE)
        finally:
            await backend.close()

    return asyncio.run(call())


def test_a_chat_is_answered_with_usage_and_the_model_that_answered() -> None:
    with endpoint(chat("Hi.")) as served:
        answer = ask(served)
    assert (answer.raw, answer.finish_reason, answer.model) == ("Hi.", "stop", "tiny-1")
    assert answer.usage == Usage(prompt_tokens=7, completion_tokens=3)
    (received,) = served.received
    assert received.path == "/v1/chat/completions"
    assert received.body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
    }


def test_a_cache_key_is_sent_with_chats_where_one_is_set() -> None:
    with endpoint(chat("Hi.")) as served:
        ask(served, prompt_cache_key="mine")
    assert served.received[0].body["prompt_cache_key"] == "mine"


def test_a_plain_completion_goes_to_its_own_path() -> None:
    request = Request(prompt="List:\n4.", sampling=Sampling(temperature=1.0, max_tokens=9), stop=("20.",))
    with endpoint(completion(" Sing.")) as served:
        answer = ask(served, request, max_tokens_field="max_completion_tokens")
    assert (answer.raw, answer.finish_reason) == (" Sing.", "length")
    (received,) = served.received
    assert received.path == "/v1/completions"
    assert received.body == {
        "model": "tiny",
        "prompt": "List:\n4.",
        "temperature": 1.0,
        "max_tokens": 9,
        "stop": ["20."],
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_chats_length_is_limited_by_the_field_that_was_chosen(name: str) -> None:
    with endpoint(chat("Hi.")) as served:
        ask(served, Request(messages=HELLO.messages, sampling=Sampling(max_tokens=9)), max_tokens_field=name)
    assert served.received[0].body[name] == 9
    assert len(served.received[0].body) == 3


def test_structured_output_is_asked_for_with_its_schema() -> None:
    schema = {"type": "object", "properties": {}}
    with endpoint(chat("{}")) as served:
        assert ask(served, Request(messages=HELLO.messages, json_schema=schema)).raw == "{}"
    assert served.received[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "tasks", "schema": schema, "strict": True},
    }


def test_usage_that_is_no_number_is_unknown() -> None:
    reply = chat("Hi.")
    reply.body["usage"] = {"prompt_tokens": None, "completion_tokens": "3"}
    with endpoint(reply) as served:
        assert ask(served).usage is None


def test_a_refusal_and_an_empty_answer_are_answers() -> None:
    with endpoint(chat(None, refusal="I will not."), chat(None)) as served:
        assert ask(served).raw == "I will not."
        assert ask(served).raw == ""


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400), RequestRefused),
        (error(422), RequestRefused),
        (error(401), EndpointRefused),
        (error(403), EndpointRefused),
        (error(404), EndpointRefused),
        (error(429, code="insufficient_quota"), EndpointRefused),
        (error(408), Transient),
        (error(409), Transient),
        (error(429), Transient),
        (error(500), Transient),
        (error(503), Transient),
        (Reply("busy", 502, content_type="text/html"), Transient),
    ],
)
def test_a_status_says_whether_asking_again_may_help(reply: Reply, kind: type[CallFailure]) -> None:
    with endpoint(reply) as served, pytest.raises(kind, match=str(reply.status)) as caught:
        ask(served)
    assert type(caught.value) is kind
    assert caught.value.status == reply.status
    assert caught.value.retryable is (kind is Transient)
    assert len(served.received) == 1, "the client retries nothing by itself"


ANSWER = chat("Hi.").body


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"code": "429", "message": "Slow down"}}, Transient, 429),
        ([{"error": {"code": 400, "message": "API key not valid."}}], EndpointRefused, 400),
        ({**ANSWER, "choices": [], "error": {"message": "overloaded"}}, Transient, 200),
    ],
)
def test_an_error_in_a_200_is_that_error(body: Any, kind: type[CallFailure], status: int) -> None:
    with endpoint(Reply(body)) as served, pytest.raises(kind) as caught:
        ask(served)
    assert (type(caught.value), caught.value.status) == (kind, status)
    wanted = Usage(prompt_tokens=7, completion_tokens=3) if "usage" in body else None
    assert caught.value.usage == wanted


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply({"error": "context length exceeded"}, 400), "answered 400: context length exceeded. The request is too"),
        (Reply([{"error": {"message": "API key not valid."}}], 400), "400: API key not valid. Check SEDI_API_KEY"),
    ],
)
def test_what_an_endpoint_says_is_in_the_message_whatever_its_shape(reply: Reply, said: str) -> None:
    with endpoint(reply) as served, pytest.raises(CallFailure) as caught:
        ask(served)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 7, "completion_tokens": 10**12},
        {"prompt_tokens": 7.5, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": 7},
        [7, 3],
        "7",
    ],
)
def test_usage_that_cannot_be_is_unknown(usage: Any) -> None:
    with endpoint(Reply({**ANSWER, "usage": usage})) as served:
        assert ask(served).usage is None


def test_what_an_answer_without_text_took_is_told_with_its_failure() -> None:
    nothing = {**ANSWER, "choices": []}
    with endpoint(Reply(nothing), Reply({**nothing, "usage": None})) as served:
        with pytest.raises(Transient) as caught:
            ask(served)
        with pytest.raises(Transient) as unreported:
            ask(served)
    assert (caught.value.usage, caught.value.perhaps_paid) == (Usage(prompt_tokens=7, completion_tokens=3), False)
    assert (unreported.value.usage, unreported.value.perhaps_paid) == (None, True)


def test_what_was_never_sent_was_not_paid_for_and_a_time_out_perhaps_was() -> None:
    with endpoint(Reply({}, delay_s=0.5)) as served, pytest.raises(Transient) as late:
        ask(served, timeout_s=0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(Transient) as away:
        ask(url)
    with endpoint(error(429)) as served, pytest.raises(Transient) as busy:
        ask(served)
    assert [caught.value.perhaps_paid for caught in (late, away, busy)] == [True, False, False]


@pytest.mark.parametrize(("status", "kind"), [(200, RequestRefused), (500, Transient)])
def test_a_body_without_end_is_given_up_at_a_limit(
    status: int, kind: type[CallFailure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded.BoundedClient.__init__, "__kwdefaults__", {"most_bytes": 300_000})
    with endless(status) as url, pytest.raises(kind) as caught:
        ask(url, timeout_s=20.0)
    assert isinstance(caught.value, RequestRefused) == (getattr(caught.value, "reason", "") == "too_large")


def test_a_compressed_body_counts_as_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.BoundedClient.__init__, "__kwdefaults__", {"most_bytes": 300_000})
    large, small = (chat("x" * size).body for size in (1_000_000, 1_000))
    zipped = {"content-encoding": "gzip"}
    with (
        endpoint(Reply(large, headers=zipped)) as served,
        pytest.raises(RequestRefused, match="more bytes than are read"),
    ):
        ask(served)
    with endpoint(Reply(small, headers=zipped)) as served:
        assert len(ask(served).raw) == 1_000


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [({"retry_after": "0.5"}, 0.5, 0.5), ({"retry_after_ms": "250"}, 0.25, 0.25), ({"retry_after": "-3"}, 0, 0)],
)
def test_retry_after_is_passed_on_in_seconds(headers: dict[str, str], low: float, high: float) -> None:
    with endpoint(error(429, **headers)) as served, pytest.raises(Transient) as caught:
        ask(served)
    assert caught.value.retry_after_s is not None
    assert low <= caught.value.retry_after_s <= high


def test_a_retry_after_that_is_a_date_is_passed_on_as_the_seconds_until_then() -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    with endpoint(error(429, retry_after=date)) as served, pytest.raises(Transient) as caught:
        ask(served)
    assert caught.value.retry_after_s is not None
    assert 1 <= caught.value.retry_after_s <= 101


@pytest.mark.parametrize("headers", [{}, {"retry_after": "soon"}])
def test_no_or_an_unreadable_retry_after_is_none(headers: dict[str, str]) -> None:
    with endpoint(error(429, **headers)) as served, pytest.raises(Transient) as caught:
        ask(served)
    assert caught.value.retry_after_s is None


def test_an_answer_that_is_too_slow_is_a_transient_failure() -> None:
    with (
        endpoint(Reply({}, delay_s=0.5)) as served,
        pytest.raises(Transient, match=r"within 0\.1 s.*SEDI_REQUEST_TIMEOUT_S"),
    ):
        ask(served, timeout_s=0.1)


def test_an_endpoint_that_is_not_there_is_a_transient_failure() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Transient, match=f"{port}.*cannot be reached.*Does it run"):
        ask(f"http://127.0.0.1:{port}/v1")


@pytest.mark.parametrize(
    "reply",
    [
        Reply([]),
        Reply({}),
        Reply({"choices": None}),
        Reply({"choices": [{}]}),
        Reply({"choices": [{"message": {"content": 3}}]}),
        Reply({"choices": "abc"}),
        Reply({"error": {"message": "in a 200"}}),
    ],
)
def test_a_garbled_body_is_a_transient_failure(reply: Reply) -> None:
    with endpoint(reply) as served, pytest.raises(Transient, match="body"):
        ask(served)


def test_the_key_goes_to_the_endpoint_and_into_no_message() -> None:
    with endpoint(error(401, f"Wrong key {KEY} in Bearer {KEY}.")) as served, pytest.raises(CallFailure) as caught:
        ask(served, api_key=KEY)
    assert served.received[0].headers["authorization"] == f"Bearer {KEY}"
    shown: BaseException | None = caught.value
    while shown is not None:
        assert KEY not in f"{shown}{shown!r}{vars(shown)}"
        shown = None if shown.__suppress_context__ and shown.__cause__ is None else shown.__cause__ or shown.__context__


def test_a_password_in_the_url_is_in_no_message() -> None:
    with endpoint(error(500)) as served, pytest.raises(Transient) as caught:
        ask(served.url.replace("//", "//user:hunter2@") + "?token=abc")
    assert "hunter2" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_another_endpoint_never_gets_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with endpoint(chat("Hi.")) as served:
        ask(served)
    assert KEY not in str(served.received[0].headers)


def test_an_endpoint_on_this_machine_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with endpoint(chat("Hi.")) as served:
        assert ask(served).raw == "Hi."


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (
            "socks5://me:hunter2@proxy.invalid:1080",
            "SOCKS needs a package that is not installed. `pip install socksio`",
        ),
        ("ftp://me:hunter2@proxy.invalid:21", "Name an HTTP proxy"),
    ],
    ids=["SOCKS", "unknown"],
)
def test_a_proxy_that_cannot_be_used_is_told_and_matters_only_to_who_would_use_it(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(
        ConfigurationError, match=rf"\(ALL_PROXY\) cannot be used to reach llm.invalid: .*{said}"
    ) as caught:
        OpenAIBackend(model="tiny", base_url="https://llm.invalid/v1")
    assert "hunter2" not in str(caught.value)

    for past in ("http://127.0.0.1:1/v1", "http://127.0.0.9:1/v1", "http://[::1]:1/v1", "http://localhost:1/v1"):
        asyncio.run(OpenAIBackend(model="tiny", base_url=past).close())
    monkeypatch.setenv("NO_PROXY", "llm.invalid")
    asyncio.run(OpenAIBackend(model="tiny", base_url="https://llm.invalid/v1").close())


def test_an_endpoint_at_an_ipv6_address_is_asked() -> None:
    with endpoint(chat("Hi."), host="::1") as served:
        assert ask(served).raw == "Hi."


def test_a_long_message_of_an_endpoint_is_shortened() -> None:
    with endpoint(error(500, "x" * 10_000)) as served, pytest.raises(Transient) as caught:
        ask(served)
    assert len(str(caught.value)) < 600


def test_without_a_model_the_settings_will_not_do() -> None:
    with pytest.raises(ConfigurationError, match="SEDI_MODEL"):
        OpenAIBackend.of(Settings(backend="openai", api_key=SecretStr(KEY)))


def test_without_a_key_openais_own_endpoint_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SEDI_API_KEY"):
        OpenAIBackend.of(Settings(backend="openai", model="m"))


@pytest.mark.parametrize(
    ("message", "raw", "reasoning", "finish_reason"),
    [
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "a"]}, "a", "hm", "stop"),
        ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "a"}]}, "a", "hm", "stop"),
        ({"content": "", "reasoning_content": ""}, "", None, "stop"),
        ({"content": [{"type": "image_url", "image_url": {}}]}, "", None, "stop"),
    ],
)
def test_the_answer_and_the_reasoning_are_found_wherever_a_server_puts_them(
    message: dict[str, Any], raw: str, reasoning: str | None, finish_reason: str
) -> None:
    with endpoint(chat(message["content"], **{k: v for k, v in message.items() if k != "content"})) as served:
        answer = ask(served)
    assert (answer.raw, answer.reasoning, answer.finish_reason) == (raw, reasoning, finish_reason)
    assert answer.usage is not None


@pytest.mark.parametrize("total", [5, 10**12])
def test_a_total_that_cannot_be_tells_of_no_thoughts(total: int) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": total}
    with endpoint(Reply({**ANSWER, "usage": usage})) as served:
        assert ask(served).usage == Usage(prompt_tokens=10, completion_tokens=20)


@pytest.mark.parametrize(
    "tokenize", [error(404), error(400, "prompt: field required"), Reply({"error": "Unexpected endpoint"})]
)
def test_the_built_in_models_backend_asks_a_server_without_llama_cpps_paths_as_any_other(tokenize: Reply) -> None:
    async def call(url: str) -> Answer:
        backend = BuiltinBackend(name="builtin", model="tiny-1", base_url=url, timeout_s=5.0)
        try:
            return await backend.complete(HELLO, PLACE)
        finally:
            await backend.close()

    with endpoint(tokenize, chat("Hi.")) as served:
        assert asyncio.run(call(served.url)).raw == "Hi."
        assert [request.path for request in served.received] == ["/tokenize", "/v1/chat/completions"]
