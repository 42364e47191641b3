"""OpenAI's own API. Answers: `openai/types/chat/chat_completion.py` and `completion_usage.py` of openai/openai-python.
Errors: the list in its guide to error codes, with bodies as reports to openai/openai-python and to users of it show.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits

_form = partial(Form, "OpenAI")
_failed = partial(Form, "OpenAI", worked=False, tells=False)
_SPENT = "You exceeded your current quota, please check your plan and billing details."
_INVALID = "invalid_request_error"


def usage(payload: Payload) -> dict[str, Any]:
    """Token usage with the details of prompt and completion."""
    return openai.usage(
        payload,
        prompt_tokens_details={"cached_tokens": payload.cached_tokens, "audio_tokens": 0},
        completion_tokens_details={
            "reasoning_tokens": payload.thought_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    )


def _chat(payload: Payload, content: str | None, finish_reason: str = "stop", refusal: str | None = None) -> Reply:
    return Reply(
        openai.chat(
            payload,
            {"role": "assistant", "content": content, "refusal": refusal, "annotations": []},
            finish_reason=finish_reason,
            choice={"logprobs": None},
            counted=usage(payload),
            service_tier="default",
            system_fingerprint="fp_1",
        )
    )


def _slow(payload: Payload) -> Reply:
    said = openai.error(
        429,
        "Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1.",
        "requests",
        "rate_limit_exceeded",
    )
    return Reply(said.body, said.status, {"retry-after": str(payload.wait_s), "x-ratelimit-remaining-requests": "0"})


FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form(
        "completion",
        "completion",
        lambda payload: Reply(openai.completion(payload, choice={"logprobs": None}, system_fingerprint=None)),
        Answered(),
        api="completion",
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    # all its tokens went into reasoning, which is not shown
    _form(
        "length in the reasoning",
        "empty",
        lambda payload: _chat(payload, "", "length"),
        Answered("length", text=lambda _: "", reads=lambda _: ""),
    ),
    _form(
        "content_filter with text",
        "ended otherwise",
        lambda payload: _chat(payload, payload.text, "content_filter"),
        Answered("content_filter"),
    ),
    _form("refusal", "refusal", lambda payload: _chat(payload, None, refusal=payload.text), Answered("refusal")),
    _failed("requests", "rate limit", _slow, Waits("Rate limit reached", FailureKind.RATE_LIMITED, asks=True)),
    _failed(
        "overloaded",
        "overloaded",
        lambda _: openai.error(503, "The engine is currently overloaded, please try again later", "server_error"),
        Waits("currently overloaded", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "server error",
        "server fault",
        lambda _: openai.error(500, "The server had an error while processing your request.", "server_error"),
        Waits("server had an error", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "prompt",
        "flagged",
        lambda _: openai.error(
            400,
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            _INVALID,
            "invalid_prompt",
        ),
        Refused("was flagged", "flagged"),
    ),
    _failed(
        "context",
        "too long",
        lambda _: openai.error(
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
            _INVALID,
            "context_length_exceeded",
        ),
        Refused("maximum context length", "too_long"),
    ),
    # a rate limit that no wait satisfies
    _failed(
        "more than a minute allows",
        "too long",
        lambda _: openai.error(
            429,
            "Request too large for m on tokens per min (TPM): Limit 10, Requested 20.",
            "tokens",
            "rate_limit_exceeded",
        ),
        Refused("Request too large", "too_long"),
    ),
    _failed(
        "parameter",
        "bad request",
        lambda _: openai.error(
            400, "Unsupported parameter: 'top_k' is not supported with this model.", _INVALID, "unsupported_parameter"
        ),
        Refused("Unsupported parameter"),
    ),
    _failed(
        "key",
        "key",
        lambda _: openai.error(401, "Incorrect API key provided: x.", _INVALID, "invalid_api_key"),
        Ends("Incorrect API key"),
    ),
    _failed(
        "country",
        "account",
        lambda _: openai.error(403, "Country, region, or territory not supported", "request_forbidden"),
        Ends("Country, region, or territory"),
    ),
    _failed(
        "model",
        "model",
        lambda _: openai.error(
            404, "The model `m` does not exist or you do not have access to it.", _INVALID, "model_not_found"
        ),
        Ends("does not exist"),
    ),
    _failed(
        "quota",
        "account",
        lambda _: openai.error(429, _SPENT, "insufficient_quota", "insufficient_quota"),
        Ends("exceeded your current quota"),
    ),
    _failed(
        "quota without a code", "account", lambda _: openai.error(429, _SPENT), Ends("exceeded your current quota")
    ),
    _failed(
        "hard limit",
        "account",
        lambda _: openai.error(400, "Billing hard limit has been reached", _INVALID, "billing_hard_limit_reached"),
        Ends("Billing hard limit"),
    ),
    _failed(
        "deactivated",
        "account",
        lambda _: openai.error(
            403, "Your account has been deactivated for violating our usage policies.", _INVALID, "account_deactivated"
        ),
        Ends("has been deactivated"),
    ),
)
