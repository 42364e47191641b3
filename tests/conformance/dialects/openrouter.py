"""OpenRouter. Answers and errors: its docs on the API's responses, errors, limits and reasoning; the metadata of errors
also as reports to anomalyco/opencode and diegosouzapw/OmniRoute show it.
"""

import time
from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "OpenRouter")
_failed = partial(Form, "OpenRouter", worked=False, tells=False)
_UNCOUNTED = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 0}


def _usage(payload: Payload) -> dict[str, Any]:
    return openai.usage(
        payload,
        cost=0.0001,
        is_byok=False,
        prompt_tokens_details={"cached_tokens": payload.cached_tokens},
        cost_details={"upstream_inference_cost": None},
        completion_tokens_details={"reasoning_tokens": payload.thought_tokens},
    )


def _chat(
    payload: Payload,
    content: Any,
    finish_reason: str | None = "stop",
    native: str | None = None,
    counted: Any = None,
    choice: Any = None,
    **message: Any,
) -> Reply:
    full = {"role": "assistant", "content": content, "refusal": None, "reasoning": None, **message}
    more = {"logprobs": None, "native_finish_reason": native or finish_reason, **(choice or {})}
    body = openai.chat(
        payload,
        full,
        finish_reason=finish_reason,
        choice=more,
        counted=_usage(payload) if counted is None else counted,
        provider="Someone",
        system_fingerprint=None,
    )
    return Reply({**body, "id": f"gen-{payload.serial:010d}"})


def _body(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    error: dict[str, Any] = {"message": message, "code": code}
    return {"error": {**error, "metadata": metadata} if metadata else error, "user_id": "user_1"}


def _error(code: int, message: str, **metadata: Any) -> Reply:
    return Reply(_body(code, message, **metadata), code)


def _late_error(code: int, message: str, **metadata: Any) -> Reply:
    """An error with the status of an answer, as sent once a provider has started."""
    return Reply(_body(code, message, **metadata))


def _provider(code: int, raw: str, **more: Any) -> Reply:
    return _error(code, "Provider returned error", raw=raw, provider_name="Someone", is_byok=False, **more)


def _details(payload: Payload) -> list[dict[str, Any]]:
    return [{"type": "reasoning.text", "text": payload.thought, "format": "unknown", "index": 0}]


def _limits(payload: Payload) -> dict[str, str]:
    """Headers inside the body; the reset is an epoch in milliseconds."""
    fresh = int((time.time() + payload.wait_s) * 1000)
    return {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(fresh)}


_LENGTH = (
    "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens. Please reduce "
    "the length of either one, or use the context-compression plugin."
)
_JSON_RAW = '{"error": {"message": "Messages must contain the word json.", "type": "invalid_request_error"}}'
_SHARED = "x/y is temporarily rate-limited upstream. Please retry shortly, or add your own key."
_BUSY = "This request would exceed your available credits given your current in-flight requests."
_nothing = partial(Answered, text=lambda _: "", reads=lambda _: "")

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form("native end", "plain", lambda payload: _chat(payload, payload.text, native="end_turn"), Answered()),
    _form(
        "completion",
        "completion",
        lambda payload: Reply(
            openai.completion(payload, choice={"native_finish_reason": "stop", "reasoning": None}, provider="Someone")
        ),
        Answered(),
        api="completion",
    ),
    _form(
        "reasoning and details",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning=payload.thought, reasoning_details=_details(payload)),
        Answered(reasoning=thought),
    ),
    _form(
        "reasoning encrypted",
        "reasoning",
        lambda payload: _chat(
            payload, payload.text, reasoning_details=[{"type": "reasoning.encrypted", "data": "c2ln"}]
        ),
        Answered(),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length", "MAX_TOKENS"), Answered("length")),
    _form(
        "reasoning took all",
        "reasoning only",
        lambda payload: _chat(payload, "", "length", reasoning=payload.thought, reasoning_details=_details(payload)),
        _nothing("length", reasoning=thought),
    ),
    _form(
        "error half way", "ended otherwise", lambda payload: _chat(payload, payload.text, "error"), Answered("error")
    ),
    _form("no reason", "ended otherwise", lambda payload: _chat(payload, payload.text, None), Answered(None)),
    _form(
        "error half way, not counted",
        "no usage",
        lambda payload: _chat(payload, payload.text, "error", counted=_UNCOUNTED),
        Answered("error"),
        tells=False,
    ),
    _form("refusal", "refusal", lambda payload: _chat(payload, None, refusal=payload.text), Answered("refusal")),
    _form(
        "tool call",
        "empty",
        lambda payload: _chat(payload, "", "tool_calls", tool_calls=[{"type": "function"}]),
        _nothing("tool_calls"),
    ),
    _form(
        "filtered",
        "filtered",
        lambda payload: _chat(payload, "", "content_filter", "SAFETY"),
        Refused("content_filter", "flagged"),
    ),
    _form(
        "refused by the provider",
        "filtered",
        lambda payload: _chat(payload, None, "content_filter", "refusal"),
        Refused("content_filter", "flagged"),
    ),
    # a provider that failed once the answer had begun
    _form(
        "error before a word",
        "overloaded in a 200",
        lambda payload: _chat(payload, "", "error"),
        Waits("before its first word", FailureKind.GARBLED),
    ),
    _form(
        "error of the choice",
        "overloaded in a 200",
        lambda payload: _chat(payload, "", "error", choice={"error": {"code": 502, "message": "Upstream is gone"}}),
        Waits("Upstream is gone", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "limit in a 200",
        "overloaded in a 200",
        lambda payload: _late_error(429, "Rate limit exceeded: free-models-per-min.", headers=_limits(payload)),
        Waits("free-models-per-min", FailureKind.RATE_LIMITED, asks=True),
    ),
    _failed(
        "provider in a 200",
        "overloaded in a 200",
        lambda _: _late_error(502, "Network connection lost.", error_type="provider_unavailable"),
        Waits("Network connection lost", FailureKind.SERVER_ERROR),
    ),
    Form(
        "OpenRouter",
        "time-out in a 200",
        "overloaded in a 200",
        lambda _: _late_error(504, "The operation was aborted"),
        Waits("The operation was aborted", FailureKind.TIME_OUT),
        tells=False,
    ),
    _failed(
        "minute",
        "rate limit",
        lambda payload: _error(429, "Rate limit exceeded: free-models-per-min.", headers=_limits(payload)),
        Waits("free-models-per-min", FailureKind.RATE_LIMITED, asks=True),
    ),
    _failed(
        "day",
        "rate limit",
        lambda _: _error(
            429,
            "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
            limit_source="openrouter_free_tier_daily",
        ),
        Waits("free-models-per-day", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "shared pool",
        "rate limit",
        lambda _: _provider(429, _SHARED, limit_source="upstream_provider_shared_pool"),
        Waits("temporarily rate-limited upstream", FailureKind.RATE_LIMITED),
    ),
    # the money is there, and bound by calls under way
    _failed(
        "calls under way",
        "rate limit",
        lambda _: _error(402, _BUSY, reason="in_flight_budget_exhausted", limit_source="openrouter_in_flight_budget"),
        Waits("current in-flight requests", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "no provider",
        "overloaded",
        lambda _: _error(503, "There is no available model provider that meets your routing requirements"),
        Waits("no available model provider", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "provider",
        "server fault",
        lambda _: _provider(502, '{"error": "Bad gateway"}'),
        Waits("Bad gateway", FailureKind.SERVER_ERROR),
    ),
    Form(
        "OpenRouter",
        "time-out",
        "too slow",
        lambda _: _error(408, "Request timed out"),
        Waits("Request timed out", FailureKind.TIME_OUT),
        tells=False,
    ),
    _failed(
        "moderation",
        "flagged",
        lambda _: _error(
            403,
            "x/y requires moderation. Your input was flagged",
            reasons=["violence"],
            flagged_input="…",
            provider_name="Someone",
        ),
        Refused("violence", "flagged"),
    ),
    _failed(
        "guardrail",
        "flagged",
        lambda _: _error(403, "Blocked by a guardrail", patterns=["x"]),
        Refused("Blocked by a guardrail", "flagged"),
    ),
    _failed(
        "moderation in a 200",
        "flagged",
        lambda _: _late_error(403, "Your input was flagged", reasons=["violence"], provider_name="Someone"),
        Refused("violence", "flagged"),
    ),
    _failed("context", "too long", lambda _: _error(400, _LENGTH), Refused("maximum context length", "too_long")),
    _failed(
        "context of the provider",
        "too long",
        lambda _: _provider(400, '{"error": {"message": "prompt is too long: 9000 tokens > 8192 maximum"}}'),
        Refused("prompt is too long", "too_long"),
    ),
    _failed(
        "provider refuses", "bad request", lambda _: _provider(400, _JSON_RAW), Refused("must contain the word json")
    ),
    _failed("key", "key", lambda _: _error(401, "User not found."), Ends("User not found")),
    _failed("no key", "key", lambda _: _error(401, "No auth credentials found"), Ends("No auth credentials")),
    _failed("key in a 200", "key", lambda _: _late_error(401, "User not found."), Ends("User not found")),
    _failed(
        "key limit", "account", lambda _: _error(403, "Key limit exceeded (total limit)."), Ends("Key limit exceeded")
    ),
    _failed("model", "model", lambda _: _error(400, "x/y is not a valid model ID"), Ends("not a valid model ID")),
    _failed("no endpoints", "model", lambda _: _error(404, "No endpoints found for x/y."), Ends("No endpoints found")),
    # speaks of guardrails and policy, and is about the settings of the account
    _failed(
        "data policy",
        "model",
        lambda _: _error(404, "No endpoints available matching your guardrail restrictions and data policy."),
        Ends("guardrail restrictions and data policy"),
    ),
    _failed(
        "credits",
        "account",
        lambda _: _error(402, "This request requires more credits, or fewer max_tokens."),
        Ends("requires more credits"),
    ),
    _failed(
        "credits in a 200", "account", lambda _: _late_error(402, "Insufficient credits"), Ends("Insufficient credits")
    ),
)
