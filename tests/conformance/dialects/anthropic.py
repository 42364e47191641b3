"""Anthropic's API in OpenAI's form. Answers and ignored fields: its page on OpenAI SDK compatibility, which says that
only the form of an error is OpenAI's, with other words; these are from its page on errors and from users' reports.
"""

from functools import partial

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits

_form = partial(Form, "Anthropic")
_failed = partial(Form, "Anthropic", worked=False, tells=False)
_INVALID = "invalid_request_error"


def _chat(payload: Payload, finish_reason: str = "stop") -> Reply:
    message = {"role": "assistant", "content": payload.text}
    return Reply(openai.chat(payload, message, finish_reason=finish_reason))


def _slow(payload: Payload) -> Reply:
    message = "Number of input tokens has exceeded your per-minute rate limit."
    said = openai.error(429, message, "rate_limit_error")
    return Reply(said.body, 429, {"retry-after": str(payload.wait_s)})


FORMS = (
    _form("chat", "plain", _chat, Answered()),
    _form("length", "cut", lambda payload: _chat(payload, "length"), Answered("length")),
    _failed("tokens a minute", "rate limit", _slow, Waits("per-minute", FailureKind.RATE_LIMITED, asks=True)),
    _failed(
        "overloaded",
        "overloaded",
        lambda _: openai.error(529, "Overloaded", "overloaded_error"),
        Waits("Overloaded", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "internal",
        "server fault",
        lambda _: openai.error(500, "Internal server error", "api_error"),
        Waits("Internal server error", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "output blocked",
        "filtered",
        lambda _: openai.error(400, "Output blocked by content filtering policy", _INVALID),
        Refused("Output blocked", "flagged"),
    ),
    _failed(
        "prompt",
        "too long",
        lambda _: openai.error(400, "prompt is too long: 210000 tokens > 200000 maximum", _INVALID),
        Refused("prompt is too long", "too_long"),
    ),
    _failed(
        "size",
        "too long",
        lambda _: openai.error(413, "Request exceeds the maximum size", "request_too_large"),
        Refused("exceeds the maximum size", "too_long"),
    ),
    _failed(
        "field",
        "bad request",
        lambda _: openai.error(400, "max_tokens: 99999 > 8192, which is the maximum allowed number", _INVALID),
        Refused("max_tokens"),
    ),
    _failed("key", "key", lambda _: openai.error(401, "invalid x-api-key", "authentication_error"), Ends("x-api-key")),
    _failed(
        "permission",
        "key",
        lambda _: openai.error(403, "Your API key does not have permission to use it.", "permission_error"),
        Ends("does not have permission"),
    ),
    _failed("model", "model", lambda _: openai.error(404, "model: m", "not_found_error"), Ends("model: m")),
    _failed(
        "credit",
        "account",
        lambda _: openai.error(400, "Your credit balance is too low to access the Anthropic API.", _INVALID),
        Ends("credit balance is too low"),
    ),
)
