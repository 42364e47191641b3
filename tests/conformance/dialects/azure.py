"""Azure's OpenAI service. Answers: its reference of chat completions, with results of its content filter. Errors: the
same reference, and bodies in reports to BerriAI/litellm, openai/openai-dotnet and others.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_api
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits

_form = partial(Form, "Azure")
_failed = partial(Form, "Azure", worked=False, tells=False)
_FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
_POLICY = "ResponsibleAIPolicyViolation"


def _result(**filtered: bool) -> dict[str, Any]:
    """The result of the filter; `filtered` names what it found."""
    kinds = ("hate", "self_harm", "sexual", "violence")
    return {kind: {"filtered": filtered.get(kind, False), "severity": "safe"} for kind in kinds}


def _chat(payload: Payload, content: str | None, finish_reason: str = "stop", **filtered: bool) -> Reply:
    message = {"role": "assistant", "refusal": None, "annotations": []}
    return Reply(
        openai.chat(
            payload,
            message if content is None else {**message, "content": content},
            finish_reason=finish_reason,
            choice={"logprobs": None, "content_filter_results": _result(**filtered)},
            counted=openai_api.usage(payload),
            system_fingerprint="fp_1",
            prompt_filter_results=[{"prompt_index": 0, "content_filter_results": _result()}],
        )
    )


def _blocked() -> Reply:
    innererror = {"code": _POLICY, "content_filter_result": _result(violence=True)}
    said = openai.error(400, _FILTERED, None, "content_filter", innererror=innererror)
    return Reply({"error": {**said.body["error"], "param": "prompt", "status": 400}}, 400)


def _slow(payload: Payload) -> Reply:
    said = openai.error(
        429,
        f"Requests have exceeded call rate limit of your pricing tier. Please retry after {payload.wait_s} seconds.",
        None,
        "429",
    )
    return Reply(said.body, 429, {"retry-after": str(payload.wait_s)})


FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form(
        "content_filter with text",
        "ended otherwise",
        lambda payload: _chat(payload, payload.text, "content_filter", violence=True),
        Answered("content_filter"),
    ),
    # the message has no content at all
    _form(
        "filtered",
        "filtered",
        lambda payload: _chat(payload, None, "content_filter", hate=True),
        Refused("content_filter", "flagged"),
    ),
    _failed("calls", "rate limit", _slow, Waits("exceeded call rate limit", FailureKind.RATE_LIMITED, asks=True)),
    _form(
        "timeout",
        "too slow",
        lambda _: openai.error(408, "The operation was timeout.", None, "Timeout"),
        Waits("timeout", FailureKind.TIME_OUT),
        tells=False,
    ),
    _failed("prompt", "flagged", lambda _: _blocked(), Refused("content management policy", "flagged")),
    _failed(
        "prompt, told within",
        "flagged",
        lambda _: openai.error(400, "No.", None, "BadRequest", innererror={"code": _POLICY}),
        Refused("No.", "flagged"),
    ),
    _failed(
        "context",
        "too long",
        lambda _: openai.error(
            400,
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "invalid_request_error",
            "context_length_exceeded",
        ),
        Refused("maximum context length", "too_long"),
    ),
    _failed(
        "key",
        "key",
        lambda _: openai.error(
            401, "Access denied due to invalid subscription key or wrong API endpoint.", None, "401"
        ),
        Ends("invalid subscription key"),
    ),
    _failed(
        "deployment",
        "model",
        lambda _: openai.error(404, "The API deployment for this resource does not exist.", None, "DeploymentNotFound"),
        Ends("deployment for this resource"),
    ),
    _failed(
        "path",
        "model",
        lambda _: Reply({"error": {"code": "404", "message": "Resource not found"}}, 404),
        Ends("Resource not found"),
    ),
)
