"""Ollama. Bodies and errors of its OpenAI form: `openai/openai.go`, `middleware/openai.go`; messages:
`server/routes.go`, `server/sched.go`, `llm/llama_server.go`.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "Ollama")
_failed = partial(Form, "Ollama", worked=False, tells=False)
_MORE = {"system_fingerprint": "fp_ollama"}


def _chat(
    payload: Payload, content: Any, finish_reason: str | None = "stop", counted: Any = None, **message: Any
) -> Reply:
    full = {"role": "assistant", "content": content, **message}
    return Reply(openai.chat(payload, full, finish_reason=finish_reason, counted=counted, **_MORE))


def _error(status: int, message: str) -> Reply:
    type = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return openai.error(status, message, type)


_ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)
_nothing = partial(Answered, text=lambda _: "", reads=lambda _: "")

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form(
        "completion",
        "completion",
        lambda payload: Reply(openai.completion(payload, **_MORE)),
        Answered(),
        api="completion",
    ),
    _form(
        "reasoning",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning=payload.thought),
        Answered(reasoning=thought),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    # the connection to the model was closed: no reason at all
    _form("no reason", "ended otherwise", lambda payload: _chat(payload, payload.text, None), Answered(None)),
    _form("load", "ended otherwise", lambda payload: _chat(payload, "", "load"), _nothing("load")),
    _form(
        "all is reasoning",
        "reasoning only",
        lambda payload: _chat(payload, "", reasoning=payload.thought),
        _nothing(reasoning=thought),
    ),
    _form(
        "think tags",
        "thoughts in the text",
        lambda payload: _chat(payload, f"<think>\n{payload.thought}\n</think>\n{payload.text}"),
        Answered(text=lambda payload: f"<think>\n{payload.thought}\n</think>\n{payload.text}"),
    ),
    # counts that were never made are zeros
    _form(
        "zeros",
        "impossible usage",
        lambda payload: _chat(payload, payload.text, counted=_ZERO),
        Answered(),
        tells=False,
    ),
    _failed(
        "queue full",
        "overloaded",
        lambda _: _error(503, "server busy, please try again.  maximum pending requests exceeded"),
        Waits("server busy, please try again", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "memory",
        "server fault",
        lambda _: _error(500, "model requires more system memory (5.6 GiB) than is available (3.2 GiB)"),
        Waits("requires more system memory", FailureKind.SERVER_ERROR),
    ),
    _failed(
        "runner stopped",
        "server fault",
        lambda _: _error(
            500,
            "model runner has unexpectedly stopped, this may be due to resource limitations or "
            "an internal error, check ollama server logs for details",
        ),
        Waits("unexpectedly stopped", FailureKind.SERVER_ERROR),
    ),
    _failed("context", "too long", lambda _: _error(400, _LONG), Refused("longer than the context", "too_long")),
    _failed(
        "no chat",
        "bad request",
        lambda _: _error(400, '"all-minilm" does not support chat'),
        Refused("does not support chat"),
    ),
    _failed("key", "key", lambda _: _error(401, "unauthorized"), Ends("unauthorized")),
    _failed(
        "model",
        "model",
        lambda _: _error(404, 'model "x" not found, try pulling it first'),
        Ends("not found, try pulling it first"),
    ),
    _failed(
        "model, plain form",
        "model",
        lambda _: Reply({"error": 'model "x" not found, try pulling it first'}, 404),
        Ends("try pulling it first"),
    ),
)
