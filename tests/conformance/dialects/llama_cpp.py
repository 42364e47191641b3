"""llama.cpp's server. Bodies: `tools/server/server-task.cpp`. Errors: `tools/server/server-common.cpp`."""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "llama.cpp")
_failed = partial(Form, "llama.cpp", worked=False, tells=False)


def _more(payload: Payload) -> dict[str, Any]:
    timings = {
        "cache_n": 16,
        "prompt_n": payload.prompt_tokens - 16,
        "prompt_ms": 30.9,
        "predicted_n": payload.completion_tokens,
        "predicted_ms": 661.1,
        "predicted_per_second": 51.4,
    }
    return {"system_fingerprint": "b6700-3df2244d", "timings": timings}


def _chat(payload: Payload, content: Any, finish_reason: str = "stop", **message: Any) -> Reply:
    full = {"role": "assistant", "content": content, **message}
    return Reply(openai.chat(payload, full, finish_reason=finish_reason, **_more(payload)))


def _error(status: int, message: str, type: str, **more: Any) -> Reply:
    return Reply({"error": {"code": status, "message": message, "type": type, **more}}, status)


_LONG = "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"
_nothing = partial(Answered, text=lambda _: "", reads=lambda _: "")

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form(
        "completion",
        "completion",
        lambda payload: Reply(openai.completion(payload, choice={"logprobs": None}, **_more(payload))),
        Answered(),
        api="completion",
    ),
    _form(
        "reasoning_content",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning_content=payload.thought),
        Answered(reasoning=thought),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form(
        "reasoning to the end",
        "reasoning only",
        lambda payload: _chat(payload, "", "length", reasoning_content=payload.thought),
        _nothing("length", reasoning=thought),
    ),
    _form(
        "tool call",
        "empty",
        lambda payload: _chat(payload, None, "tool_calls", tool_calls=[{"type": "function"}]),
        _nothing("tool_calls"),
    ),
    # --reasoning-format none
    _form(
        "think tags",
        "thoughts in the text",
        lambda payload: _chat(payload, f"<think>{payload.thought}</think>{payload.text}"),
        Answered(text=lambda payload: f"<think>{payload.thought}</think>{payload.text}"),
    ),
    # --special
    _form(
        "eot_id",
        "marks in the text",
        lambda payload: _chat(payload, f"{payload.text}<|eot_id|>"),
        Answered(text=lambda payload: f"{payload.text}<|eot_id|>"),
    ),
    _failed(
        "loading",
        "overloaded",
        lambda _: _error(503, "Loading model", "unavailable_error"),
        Waits("Loading model", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "no parse",
        "server fault",
        lambda _: _error(500, "Failed to parse input at pos 12", "server_error"),
        Waits("Failed to parse input", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "context",
        "too long",
        lambda _: _error(400, _LONG, "exceed_context_size_error", n_prompt_tokens=4390, n_ctx=4096),
        Refused("exceeds the available context size", "too_long"),
    ),
    _failed(
        "context as 500",
        "too long",
        lambda _: _error(500, "Context size has been exceeded.", "server_error"),
        Refused("Context size has been exceeded", "too_long"),
    ),
    # seen of a server whose status is not passed on
    _failed(
        "context in a 200",
        "too long",
        lambda _: Reply(_error(400, _LONG, "exceed_context_size_error").body),
        Refused("exceeds the available context size", "too_long"),
    ),
    _failed(
        "grammar",
        "bad request",
        lambda _: _error(400, "failed to parse grammar", "invalid_request_error"),
        Refused("failed to parse grammar"),
    ),
    _failed("key", "key", lambda _: _error(401, "Invalid API Key", "authentication_error"), Ends("Invalid API Key")),
    _failed("wrong path", "model", lambda _: _error(404, "File Not Found", "not_found_error"), Ends("File Not Found")),
    _failed(
        "not supported",
        "model",
        lambda _: _error(
            501, "This server does not support completions. Start it without `--embeddings`", "not_supported_error"
        ),
        Ends("does not support completions"),
    ),
)
