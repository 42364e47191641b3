"""Google Gemini's OpenAI form (`/v1beta/openai/`). Answers: its docs on OpenAI compatibility and on thinking. Errors:
an array that holds a `google.rpc.Status`, with the details of `google/rpc/error_details.proto`; messages as reports to
googleapis/python-genai and google/generative-ai-docs show them.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits

_form = partial(Form, "Gemini")
_failed = partial(Form, "Gemini", worked=False, tells=False)
_SIGNED = {"google": {"thought_signature": "EjQKMgEMOdbHJChL"}}


def _chat(
    payload: Payload, content: str | None, finish_reason: str = "stop", counted: Any = None, **message: Any
) -> Reply:
    """An answer without text has no content."""
    full = {} if content is None else {"content": content}
    body = openai.chat(payload, {**full, **message, "role": "assistant"}, finish_reason=finish_reason, counted=counted)
    return Reply({**body, "id": f"mYn{payload.serial:08x}"})


def _without_message(payload: Payload, finish_reason: str, counted: Any) -> Reply:
    body = _chat(payload, None, finish_reason, counted).body
    return Reply({**body, "choices": [{"index": 0, "finish_reason": finish_reason}]})


def _uncounted(payload: Payload) -> dict[str, int]:
    """Usage that counts reasoning tokens only in the total."""
    return {
        "completion_tokens": payload.completion_tokens - payload.thought_tokens,
        "prompt_tokens": payload.prompt_tokens,
        "total_tokens": payload.total_tokens,
    }


def _all_thoughts(payload: Payload) -> dict[str, int]:
    return {"prompt_tokens": payload.prompt_tokens, "total_tokens": payload.total_tokens}


def _error(code: int, message: str, status: str, *details: dict[str, Any]) -> Reply:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return Reply([{"error": {**error, "details": list(details)} if details else error}], code)


def _info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _retry(payload: Payload) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{payload.wait_s}s"}


_QUOTA_DETAIL = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "10"}],
}
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_MODEL = "models/x is not found for API version v1main, or is not supported for generateContent."
_BUSY = "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try again."
_nothing = partial(Answered, text=lambda _: "", reads=lambda _: "")

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form("signed", "plain", lambda payload: _chat(payload, payload.text, extra_content=_SIGNED), Answered()),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form(
        "thoughts in the total",
        "thoughts not counted",
        lambda payload: _chat(payload, payload.text, counted=_uncounted(payload)),
        Answered(),
    ),
    _form(
        "thoughts in the total, cut",
        "thoughts not counted",
        lambda payload: _chat(payload, payload.text, "length", _uncounted(payload)),
        Answered("length"),
    ),
    _form(
        "thoughts took all",
        "reasoning only",
        lambda payload: _chat(payload, None, "length", _all_thoughts(payload)),
        _nothing("length"),
    ),
    _form(
        "thoughts took all, no message",
        "reasoning only",
        lambda payload: _without_message(payload, "length", _all_thoughts(payload)),
        _nothing("length"),
    ),
    # include_thoughts
    _form(
        "thought tags",
        "thoughts in the text",
        lambda payload: _chat(
            payload, f"<thought>{payload.thought}</thought>{payload.text}", extra_content={"google": {}}
        ),
        Answered(text=lambda payload: f"<thought>{payload.thought}</thought>{payload.text}"),
    ),
    _form(
        "tool call",
        "empty",
        lambda payload: _chat(payload, None, "tool_calls", tool_calls=[{"type": "function", "extra_content": _SIGNED}]),
        _nothing("tool_calls"),
    ),
    _form(
        "filtered half way",
        "ended otherwise",
        lambda payload: _chat(payload, payload.text, "content_filter: SAFETY"),
        Answered("content_filter: SAFETY"),
    ),
    _form(
        "malformed call",
        "ended otherwise",
        lambda payload: _chat(payload, None, "function_call_filter: MALFORMED_FUNCTION_CALL"),
        _nothing("function_call_filter: MALFORMED_FUNCTION_CALL"),
    ),
    _form(
        "prohibited",
        "filtered",
        lambda payload: _without_message(payload, "content_filter: PROHIBITED_CONTENT", _all_thoughts(payload)),
        Refused("PROHIBITED_CONTENT", "flagged"),
    ),
    _form(
        "recitation",
        "filtered",
        lambda payload: _chat(payload, None, "content_filter: RECITATION", _all_thoughts(payload)),
        Refused("RECITATION", "flagged"),
    ),
    _form(
        "safety",
        "filtered",
        lambda payload: _chat(payload, None, "content_filter", _uncounted(payload)),
        Refused("content_filter", "flagged"),
    ),
    _failed(
        "minute, in the details",
        "rate limit",
        lambda payload: _error(429, _QUOTA, "RESOURCE_EXHAUSTED", _QUOTA_DETAIL, _retry(payload)),
        Waits("exceeded your current quota", FailureKind.RATE_LIMITED, asks=True),
    ),
    _failed(
        "minute, in words",
        "rate limit",
        lambda payload: _error(429, f"{_QUOTA} Please retry in {payload.wait_s}.0s.", "RESOURCE_EXHAUSTED"),
        Waits("exceeded your current quota", FailureKind.RATE_LIMITED, asks=True),
    ),
    _failed(
        "exhausted",
        "rate limit",
        lambda _: _error(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),
        Waits("Resource has been exhausted", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "overloaded",
        "overloaded",
        lambda _: _error(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
        Waits("overloaded", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "high demand",
        "overloaded",
        lambda _: _error(503, _BUSY, "UNAVAILABLE"),
        Waits("high demand", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "internal",
        "server fault",
        lambda _: _error(500, "An internal error has occurred. Please retry or report.", "INTERNAL"),
        Waits("An internal error has occurred", FailureKind.SERVER_ERROR),
    ),
    Form(
        "Gemini",
        "deadline",
        "too slow",
        lambda _: _error(504, "Deadline expired before operation could complete.", "DEADLINE_EXCEEDED"),
        Waits("Deadline expired", FailureKind.TIME_OUT),
        tells=False,
    ),
    _failed(
        "context",
        "too long",
        lambda _: _error(
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
        ),
        Refused("exceeds the maximum number of tokens", "too_long"),
    ),
    _failed(
        "unknown field",
        "bad request",
        lambda _: _error(
            400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.', "INVALID_ARGUMENT"
        ),
        Refused('Unknown name "seed"'),
    ),
    _failed(
        "penalty",
        "bad request",
        lambda _: _error(400, "Penalty is not enabled for this model", "INVALID_ARGUMENT"),
        Refused("Penalty is not enabled"),
    ),
    _failed(
        "key",
        "key",
        lambda _: _error(
            400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", _info("API_KEY_INVALID")
        ),
        Ends("API key not valid"),
    ),
    _failed(
        "key expired",
        "key",
        lambda _: _error(
            400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT", _info("API_KEY_INVALID")
        ),
        Ends("API key expired"),
    ),
    _failed(
        "no key",
        "key",
        lambda _: _error(400, "Missing or invalid Authorization header.", "INVALID_ARGUMENT"),
        Ends("Missing or invalid Authorization"),
    ),
    _failed(
        "no header",
        "key",
        lambda _: _error(400, "Missing Authorization header.", "INVALID_ARGUMENT"),
        Ends("Missing Authorization header"),
    ),
    _failed(
        "wrong header",
        "key",
        lambda _: _error(400, "Invalid Authorization header.", "INVALID_ARGUMENT"),
        Ends("Invalid Authorization header"),
    ),
    _failed(
        "key leaked",
        "key",
        lambda _: _error(403, "Your API key was reported as leaked. Please use another API key.", "PERMISSION_DENIED"),
        Ends("reported as leaked"),
    ),
    _failed("model", "model", lambda _: _error(404, _MODEL, "NOT_FOUND"), Ends("is not found for API version")),
    _failed(
        "service off",
        "account",
        lambda _: _error(
            403,
            "Generative Language API has not been used in project 1 before or it is disabled.",
            "PERMISSION_DENIED",
            _info("SERVICE_DISABLED"),
        ),
        Ends("has not been used in project"),
    ),
    _failed(
        "place",
        "account",
        lambda _: _error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        Ends("location is not supported"),
    ),
    # the status of a rate limit, and no wait helps
    _failed(
        "credits",
        "account",
        lambda _: _error(
            429, "Your prepayment credits are depleted. Please manage your project and billing.", "RESOURCE_EXHAUSTED"
        ),
        Ends("credits are depleted"),
    ),
)
