"""Mistral's API. Answers: `ThinkChunk` and `TextChunk` of mistralai/client-python; errors as reports to it show."""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "Mistral")
_failed = partial(Form, "Mistral", worked=False, tells=False)


def _chat(payload: Payload, content: Any, finish_reason: str = "stop") -> Reply:
    message = {"role": "assistant", "tool_calls": None, "prefix": False, "content": content}
    return Reply(openai.chat(payload, message, finish_reason=finish_reason))


def _error(status: int, message: str, type: str, code: str) -> Reply:
    return Reply({"object": "error", "message": message, "type": type, "param": None, "code": code}, status)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _thinking(payload: Payload) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [_text(payload.thought)], "closed": True}


FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form(
        "text parts",
        "parts",
        lambda payload: _chat(payload, [_text(payload.text[:9]), _text(payload.text[9:])]),
        Answered(),
    ),
    _form(
        "thinking parts",
        "parts",
        lambda payload: _chat(payload, [_thinking(payload), _text(payload.text)]),
        Answered(reasoning=thought),
    ),
    _form(
        "parts with a reference",
        "parts",
        lambda payload: _chat(payload, [_text(payload.text), {"type": "reference", "reference_ids": [1]}]),
        Answered(),
    ),
    _form(
        "thinking alone",
        "reasoning only",
        lambda payload: _chat(payload, [_thinking(payload)], "length"),
        Answered("length", text=lambda _: "", reads=lambda _: "", reasoning=thought),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form(
        "context is full", "cut", lambda payload: _chat(payload, payload.text, "model_length"), Answered("model_length")
    ),
    _failed(
        "capacity",
        "rate limit",
        lambda _: _error(
            429, "Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"
        ),
        Waits("capacity exceeded", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "rate",
        "rate limit",
        lambda _: Reply({"message": "Requests rate limit exceeded"}, 429),
        Waits("rate limit exceeded", FailureKind.RATE_LIMITED),
    ),
    _failed(
        "context",
        "too long",
        lambda _: _error(
            400,
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            "invalid_request_prompt",
            "3051",
        ),
        Refused("maximum context length", "too_long"),
    ),
    _failed(
        "validation",
        "bad request",
        lambda _: Reply(
            {
                "object": "error",
                "message": {
                    "detail": [
                        {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
                    ]
                },
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
            422,
        ),
        Refused("body.seed: Extra inputs are not permitted"),
    ),
    _failed("key", "key", lambda _: Reply({"detail": "Unauthorized"}, 401), Ends("Unauthorized")),
    _failed(
        "model", "model", lambda _: _error(400, "Invalid model: x", "invalid_model", "1500"), Ends("Invalid model: x")
    ),
)
