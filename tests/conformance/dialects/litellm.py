"""LiteLLM's proxy. Bodies: `litellm/types/utils.py`. Errors: `litellm/proxy/_types.py` (`ProxyException`),
`litellm/exceptions.py`; counts and codes come as strings, and `None` as a word.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "LiteLLM")
_failed = partial(Form, "LiteLLM", worked=False, tells=False)


def _chat(payload: Payload, content: Any, finish_reason: str = "stop", counted: Any = None, **message: Any) -> Reply:
    full = {"role": "assistant", "content": content, "tool_calls": None, "function_call": None, **message}
    detailed = openai.usage(
        payload,
        completion_tokens_details={"reasoning_tokens": payload.thought_tokens},
        prompt_tokens_details={"cached_tokens": payload.cached_tokens},
        cache_read_input_tokens=payload.cached_tokens,
        cache_creation_input_tokens=0,
    )
    body = openai.chat(
        payload,
        full,
        finish_reason=finish_reason,
        counted=detailed if counted is None else counted,
        system_fingerprint=None,
        service_tier="default",
    )
    return Reply(body, headers={"x-litellm-call-id": f"{payload.serial}", "x-litellm-response-cost": "0.0001"})


def _without(payload: Payload, *fields: str, **changes: Any) -> Reply:
    body = {name: value for name, value in _chat(payload, payload.text).body.items() if name not in fields}
    return Reply({**body, **changes})


def _error(status: int, message: str, type: str | None = "None", code: Any = None, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": type, "param": "None", "code": code or str(status)}}
    return Reply(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


_thinking = [{"type": "thinking", "thinking": "They ask for rivers. Which ones?", "signature": "c2ln"}]
_MODEL = "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models."

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form(
        "completion",
        "completion",
        lambda payload: Reply(openai.completion(payload, choice={"logprobs": None})),
        Answered(),
        api="completion",
    ),
    _form(
        "reasoning and blocks",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning_content=payload.thought, thinking_blocks=_thinking),
        Answered(reasoning=thought),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form(
        "content_filter with text",
        "ended otherwise",
        lambda payload: _chat(payload, payload.text, "content_filter"),
        Answered("content_filter"),
    ),
    _form("refusal", "refusal", lambda payload: _chat(payload, None, refusal=payload.text), Answered("refusal")),
    _form("no usage", "no usage", lambda payload: _without(payload, "usage"), Answered(), tells=False),
    _form("usage null", "no usage", lambda payload: _without(payload, usage=None), Answered(), tells=False),
    _form(
        "negative",
        "impossible usage",
        lambda payload: _chat(payload, payload.text, counted={"prompt_tokens": -1, "completion_tokens": 9}),
        Answered(),
        tells=False,
    ),
    _form(
        "no choices",
        "no choices",
        lambda payload: _without(payload, choices=[]),
        Waits("holds no answer", FailureKind.GARBLED),
    ),
    _form(
        "filtered",
        "filtered",
        lambda payload: _chat(payload, None, "content_filter"),
        Refused("content_filter", "flagged"),
    ),
    _failed(
        "upstream limit",
        "rate limit",
        lambda payload: _error(
            429,
            "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached",
            "throttling_error",
            retry_after=str(payload.wait_s),
        ),
        Waits("Rate limit reached", FailureKind.RATE_LIMITED, asks=True),
    ),
    # no header: only the message says for how long
    _failed(
        "cooling down",
        "rate limit",
        lambda payload: _error(
            429,
            f"No deployments available for selected model, Try again in {payload.wait_s} seconds."
            " Passed model=x. pre-call-checks=False, cooldown_list=[]",
        ),
        Waits("No deployments available", FailureKind.RATE_LIMITED, asks=True),
    ),
    _failed(
        "upstream 500",
        "server fault",
        lambda _: _error(500, "litellm.InternalServerError: no", None),
        Waits("InternalServerError", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "context",
        "too long",
        lambda _: _error(
            400,
            "litellm.ContextWindowExceededError: litellm.BadRequestError: This model's maximum "
            "context length is 8192 tokens.",
            None,
        ),
        Refused("maximum context length", "too_long"),
    ),
    _failed(
        "policy",
        "flagged",
        lambda _: _error(400, "litellm.ContentPolicyViolationError: no", None, "content_policy_violation"),
        Refused("ContentPolicyViolationError", "flagged"),
    ),
    _failed(
        "guardrail",
        "flagged",
        lambda _: _error(400, "{'error': 'Violated guardrail policy'}"),
        Refused("Violated guardrail policy", "flagged"),
    ),
    _failed(
        "parameter",
        "bad request",
        lambda _: _error(400, "litellm.UnsupportedParamsError: x does not support parameters: ['seed']", None),
        Refused("does not support parameters"),
    ),
    _failed(
        "key",
        "key",
        lambda _: _error(401, "Authentication Error, Invalid proxy server token passed.", "auth_error"),
        Ends("Authentication Error"),
    ),
    # a wrong key, where the proxy has no database to look it up in
    _failed(
        "no database", "key", lambda _: _error(400, "No connected db.", "no_db_connection"), Ends("No connected db")
    ),
    _failed(
        "key without the model",
        "key",
        lambda _: _error(
            401, "key not allowed to access model. This key can only access models=['a'].", "key_model_access_denied"
        ),
        Ends("not allowed to access model"),
    ),
    _failed("model", "model", lambda _: _error(400, _MODEL, "invalid_request_error"), Ends("Invalid model name")),
    _failed(
        "budget",
        "account",
        lambda _: _error(400, "Budget has been exceeded! Current cost: 0.2, Max budget: 0.1", "budget_exceeded"),
        Ends("Budget has been exceeded"),
    ),
)
