"""Gateways before a server: proxies, load balancers, networks. Pages after nginx
(`src/http/ngx_http_special_response.c`), Envoy (`source/common/http`, local replies) and Cloudflare (its docs on 5xx
errors).
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, How, Payload, Refused, Reply, Waits
from tests.unit.producers.endpoint import headers_of

_form = partial(Form, "any gateway")
_untold = partial(Form, "any gateway", tells=False)
_failed = partial(Form, "any gateway", worked=False, tells=False)


def _chat(payload: Payload) -> dict[str, Any]:
    return openai.chat(payload, {"role": "assistant", "content": payload.text})


def _answer(how: How = "whole", content_type: str = "application/json", **headers: str) -> Any:
    return lambda payload: Reply(_chat(payload), headers=headers_of(headers), content_type=content_type, how=how)


def _page(status: int, title: str, **headers: str) -> Any:
    text = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx/1.27.2</center>\r\n</body>\r\n</html>\r\n"
    )
    return lambda _: Reply(text, status, headers_of(headers), content_type="text/html")


def _cloudflare(status: int, title: str) -> Any:
    text = (
        f'<!DOCTYPE html>\n<html lang="en-US">\n<head>\n<title>llm.example | {status}: {title}</title>\n'
        "<style>body{margin:0}</style>\n</head>\n<body><div><h1>"
        f"<span>{title}</span> <span>Error code {status}</span></h1></div></body>\n</html>\n"
    )
    return lambda _: Reply(text, status, {"cf-ray": "0"}, content_type="text/html; charset=UTF-8")


def _text(status: int, text: str) -> Any:
    return lambda _: Reply(text, status, content_type="text/plain")


FORMS = (
    _form("compressed", "odd HTTP", _answer(content_encoding="gzip"), Answered()),
    _form("called plain text", "odd HTTP", _answer(content_type="text/plain; charset=utf-8"), Answered()),
    _form("called a page", "odd HTTP", _answer(content_type="text/html"), Answered()),
    _form("of no type", "odd HTTP", _answer(content_type=""), Answered()),
    # sent while the answer is made, so that no one takes the connection for dead
    _form(
        "blanks before the answer",
        "odd HTTP",
        lambda payload: Reply("\n \n" + openai.as_json(_chat(payload))),
        Answered(),
    ),
    _form("byte-order mark", "odd HTTP", lambda payload: Reply("\ufeff" + openai.as_json(_chat(payload))), Answered()),
    _failed(
        "nginx 502", "gateway page", _page(502, "502 Bad Gateway"), Waits("502 Bad Gateway", FailureKind.SERVER_ERROR)
    ),
    _failed(
        "nginx 503",
        "gateway page",
        _page(503, "503 Service Temporarily Unavailable"),
        Waits("Temporarily Unavailable", FailureKind.SERVER_ERROR),
    ),
    _untold(
        "nginx 504",
        "gateway page",
        _page(504, "504 Gateway Time-out"),
        Waits("504 Gateway Time-out", FailureKind.TIME_OUT),
    ),
    _failed(
        "Cloudflare 502",
        "gateway page",
        _cloudflare(502, "Bad gateway"),
        Waits("Bad gateway", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "Cloudflare 520",
        "gateway page",
        _cloudflare(520, "Web server is returning an unknown error"),
        Waits("returning an unknown error", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "Cloudflare 521",
        "gateway page",
        _cloudflare(521, "Web server is down"),
        Waits("Web server is down", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "Cloudflare 522",
        "gateway page",
        _cloudflare(522, "Connection timed out"),
        Waits("Connection timed out", FailureKind.SERVER_ERROR),
    ),
    _untold(
        "Cloudflare 524",
        "gateway page",
        _cloudflare(524, "A timeout occurred"),
        Waits("A timeout occurred", FailureKind.TIME_OUT),
    ),
    _failed(
        "Envoy 503",
        "gateway page",
        _text(503, "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"),
        Waits("upstream connect error", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "Envoy without a server",
        "gateway page",
        _text(503, "no healthy upstream"),
        Waits("no healthy upstream", FailureKind.SERVER_ERROR),
    ),
    _untold(
        "Envoy 504",
        "gateway page",
        _text(504, "upstream request timeout"),
        Waits("upstream request timeout", FailureKind.TIME_OUT),
    ),
    _failed("empty 502", "gateway page", _text(502, ""), Waits("nothing that says why", FailureKind.SERVER_ERROR)),
    _failed(
        "nginx 429",
        "rate limit",
        _page(429, "429 Too Many Requests"),
        Waits("Too Many Requests", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "nginx 429 with a wait",
        "rate limit",
        lambda payload: _page(429, "429 Too Many Requests", retry_after=str(payload.wait_s))(payload),
        Waits("Too Many Requests", FailureKind.RATE_LIMITED, asks=True),
    ),
    _untold(
        "half of an answer", "dropped", _answer("half"), Waits("broke the connection off", FailureKind.UNREACHABLE)
    ),
    _untold(
        "half of a compressed answer",
        "dropped",
        _answer("half", content_encoding="gzip"),
        Waits("broke the connection off", FailureKind.UNREACHABLE),
    ),
    _untold("no byte", "dropped", _answer("nothing"), Waits("broke the connection off", FailureKind.UNREACHABLE)),
    _untold("silent", "too slow", _answer("silent"), Waits("did not answer within", FailureKind.TIME_OUT)),
    _untold(
        "half of the text",
        "garbled",
        lambda payload: Reply(openai.as_json(_chat(payload))[:120]),
        Waits("a body that is no answer", FailureKind.GARBLED),
    ),
    _untold("nothing in a 200", "garbled", lambda _: Reply(""), Waits("a body that", FailureKind.GARBLED)),
    _untold(
        "page in a 200",
        "garbled",
        lambda _: Reply("<html><head><title>Sign in</title></head></html>", content_type="text/html"),
        Waits("Sign in", FailureKind.GARBLED),
    ),
    _untold(
        "a stream, unasked",
        "garbled",
        lambda payload: Reply(
            f"data: {openai.as_json(_chat(payload))}\n\ndata: [DONE]\n\n", content_type="text/event-stream"
        ),
        Waits("a body that holds no answer", FailureKind.GARBLED),
    ),
    _untold(
        "compressed in name only",
        "garbled",
        lambda payload: Reply(_chat(payload), headers={"content-encoding": "deflate"}),
        Waits("cannot be decompressed", FailureKind.GARBLED),
    ),
    _untold("endless", "huge", _answer("endless"), Refused("more bytes than are read", "too_large")),
    _failed(
        "nginx 413",
        "too long",
        _page(413, "413 Request Entity Too Large"),
        Refused("Request Entity Too Large", "too_long"),
    ),
    _failed("nginx 401", "key", _page(401, "401 Authorization Required"), Ends("Authorization Required")),
    _failed("nginx 403", "key", _page(403, "403 Forbidden"), Ends("403 Forbidden")),
    _failed("nginx 404", "model", _page(404, "404 Not Found"), Ends("404 Not Found")),
    _failed("nginx 405", "model", _page(405, "405 Not Allowed"), Ends("405 Not Allowed")),
)
