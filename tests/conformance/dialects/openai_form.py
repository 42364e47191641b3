"""Common to the dialects: the bodies of OpenAI's two APIs, which each server extends, and its error."""

import json
from collections.abc import Mapping
from typing import Any

from tests.conformance.forms import Payload, Reply

CREATED = 1_790_000_000


def usage(payload: Payload, **more: Any) -> dict[str, Any]:
    """Token usage as OpenAI counts it: reasoning is part of the completion."""
    return {
        "prompt_tokens": payload.prompt_tokens,
        "completion_tokens": payload.completion_tokens,
        "total_tokens": payload.total_tokens,
        **more,
    }


def chat(
    payload: Payload,
    message: Mapping[str, Any],
    *,
    finish_reason: str | None = "stop",
    choice: Mapping[str, Any] | None = None,
    counted: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """A chat completion. `message` has all its fields, `choice` and `more` the server's additional ones."""
    return {
        "id": f"chatcmpl-{payload.serial:08x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": payload.model,
        "choices": [{"index": 0, "message": dict(message), "finish_reason": finish_reason, **(choice or {})}],
        "usage": usage(payload) if counted is None else counted,
        **more,
    }


def completion(
    payload: Payload, *, finish_reason: str | None = "stop", choice: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A plain completion."""
    return {
        "id": f"cmpl-{payload.serial:08x}",
        "object": "text_completion",
        "created": CREATED,
        "model": payload.model,
        "choices": [{"index": 0, "text": payload.text, "finish_reason": finish_reason, **(choice or {})}],
        "usage": usage(payload),
        **more,
    }


def error(status: int, message: str, type: str | None = None, code: Any = None, **more: Any) -> Reply:
    """An error in OpenAI's form, with `more` fields besides the message."""
    return Reply({"error": {"message": message, "type": type, "param": None, "code": code, **more}}, status)


def as_json(body: Mapping[str, Any]) -> str:
    """A body as text, for forms that add something around it or truncate it."""
    return json.dumps(body)
