"""What the dialects share: the bodies of OpenAI's two APIs, to which each server adds its own, and its error."""

import json
from collections.abc import Mapping
from typing import Any

from tests.conformance.forms import Reply, Said

CREATED = 1_790_000_000


def usage(said: Said, **more: Any) -> dict[str, Any]:
    """Tokens as OpenAI counts them: thoughts are part of the completion."""
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.total_tokens,
        **more,
    }


def chat(
    said: Said,
    message: Mapping[str, Any],
    *,
    finish_reason: str | None = "stop",
    choice: Mapping[str, Any] | None = None,
    counted: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """A chat's answer. `message` has all of its fields, `choice` and `more` what the server adds."""
    return {
        "id": f"chatcmpl-{said.serial:08x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": said.model,
        "choices": [{"index": 0, "message": dict(message), "finish_reason": finish_reason, **(choice or {})}],
        "usage": usage(said) if counted is None else counted,
        **more,
    }


def completion(
    said: Said, *, finish_reason: str | None = "stop", choice: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A plain completion."""
    return {
        "id": f"cmpl-{said.serial:08x}",
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        "choices": [{"index": 0, "text": said.text, "finish_reason": finish_reason, **(choice or {})}],
        "usage": usage(said),
        **more,
    }


def error(status: int, message: str, type: str | None = None, code: Any = None, **more: Any) -> Reply:
    """An error in OpenAI's form; `more` beside its message."""
    return Reply({"error": {"message": message, "type": type, "param": None, "code": code, **more}}, status)


def as_json(body: Mapping[str, Any]) -> str:
    """A body as text, for forms that send something around it or less of it."""
    return json.dumps(body)
