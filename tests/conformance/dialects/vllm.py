"""vLLM. Bodies: `vllm/entrypoints/openai/chat_completion/protocol.py`, `completion/protocol.py`. Errors:
`vllm/entrypoints/serve/utils/error_response.py`; older releases have `object: error` at the top.
"""

from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import Answered, Ends, Form, Payload, Refused, Reply, Waits, thought

_form = partial(Form, "vLLM")


def _chat(
    payload: Payload, content: Any, finish_reason: str = "stop", stop_reason: Any = None, **message: Any
) -> Reply:
    full = {
        "role": "assistant",
        "content": content,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        "reasoning": None,
        **message,
    }
    choice = {"logprobs": None, "stop_reason": stop_reason, "token_ids": None}
    body = openai.chat(
        payload,
        full,
        finish_reason=finish_reason,
        choice=choice,
        counted=openai.usage(payload, prompt_tokens_details={"cached_tokens": payload.cached_tokens}),
        service_tier=None,
        system_fingerprint=None,
        prompt_logprobs=None,
        prompt_token_ids=None,
        prompt_text=None,
        kv_transfer_params=None,
    )
    return Reply(body)


def _completion(payload: Payload) -> Reply:
    choice = {"logprobs": None, "stop_reason": None, "token_ids": None, "prompt_logprobs": None}
    return Reply(openai.completion(payload, choice=choice, service_tier=None, kv_transfer_params=None))


def _error(status: int, message: str, type: str, param: str | None = None) -> Reply:
    return openai.error(status, message, type, status, param=param)


def _old_error(status: int, message: str, type: str) -> Reply:
    return Reply({"object": "error", "message": message, "type": type, "param": None, "code": status}, status)


_LENGTH = (
    "This model's maximum context length is 8192 tokens. However, you requested 3072 output tokens and your prompt "
    "contains at least 5121 input tokens, for a total of at least 8193 tokens."
)
_NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the "
    "tokenizer does not define one."
)
_TOOL = [{"id": "chatcmpl-tool-1", "type": "function", "function": {"name": "rivers", "arguments": "{}"}}]

FORMS = (
    _form("chat", "plain", lambda payload: _chat(payload, payload.text), Answered()),
    _form("completion", "completion", _completion, Answered(), api="completion"),
    _form("stop string", "plain", lambda payload: _chat(payload, payload.text, stop_reason="20."), Answered()),
    _form(
        "reasoning",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning=payload.thought),
        Answered(reasoning=thought),
    ),
    # before 0.12 the field had the name that DeepSeek gave it
    _form(
        "reasoning_content",
        "reasoning",
        lambda payload: _chat(payload, payload.text, reasoning_content=payload.thought, tool_calls=[]),
        Answered(reasoning=thought),
    ),
    _form("length", "cut", lambda payload: _chat(payload, payload.text, "length"), Answered("length")),
    _form("abort", "ended otherwise", lambda payload: _chat(payload, payload.text, "abort"), Answered("abort")),
    _form(
        "repetition",
        "ended otherwise",
        lambda payload: _chat(payload, payload.text, "repetition"),
        Answered("repetition"),
    ),
    _form(
        "reasoning to the end",
        "reasoning only",
        lambda payload: _chat(payload, None, "length", reasoning=payload.thought),
        Answered("length", text=lambda _: "", reads=lambda _: "", reasoning=thought),
    ),
    _form(
        "tool call",
        "empty",
        lambda payload: _chat(payload, None, "tool_calls", tool_calls=_TOOL),
        Answered("tool_calls", text=lambda _: "", reads=lambda _: ""),
    ),
    # without --reasoning-parser; the second where the template opens the thought
    _form(
        "think tags",
        "thoughts in the text",
        lambda payload: _chat(payload, f"<think>\n{payload.thought}\n</think>\n\n{payload.text}"),
        Answered(text=lambda payload: f"<think>\n{payload.thought}\n</think>\n\n{payload.text}"),
    ),
    _form(
        "closing think tag",
        "thoughts in the text",
        lambda payload: _chat(payload, f"{payload.thought}\n</think>\n{payload.text}"),
        Answered(text=lambda payload: f"{payload.thought}\n</think>\n{payload.text}"),
    ),
    # a server configured to keep special tokens
    _form(
        "im_end",
        "marks in the text",
        lambda payload: _chat(payload, f"{payload.text}<|im_end|>"),
        Answered(text=lambda payload: f"{payload.text}<|im_end|>"),
    ),
    _form(
        "engine dead",
        "server fault",
        lambda _: _error(
            500, "EngineCore encountered an issue. See stack trace (above) for the root cause.", "InternalServerError"
        ),
        Waits("EngineCore encountered an issue", FailureKind.SERVER_ERROR),
        worked=False,
        tells=False,
    ),
    _form(
        "plain 500",
        "server fault",
        lambda _: Reply("Internal Server Error", 500, content_type="text/plain"),
        Waits("Internal Server Error", FailureKind.SERVER_ERROR),
        worked=False,
        tells=False,
    ),
    _form(
        "scaling",
        "overloaded",
        lambda _: Reply({"error": "The model is currently scaling. Please try again later."}, 503),
        Waits("currently scaling", FailureKind.SERVER_ERROR),
        worked=False,
        tells=False,
    ),
    _form(
        "length refused",
        "too long",
        lambda _: _error(400, _LENGTH, "BadRequestError", "input_tokens"),
        Refused("maximum context length is 8192", "too_long"),
        worked=False,
        tells=False,
    ),
    _form(
        "length refused, older",
        "too long",
        lambda _: _old_error(400, _LENGTH, "BadRequestError"),
        Refused("maximum context length is 8192", "too_long"),
        worked=False,
        tells=False,
    ),
    _form(
        "prompt too long",
        "too long",
        lambda _: _error(
            400,
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192. "
            "Make sure that `max_model_len` is no smaller than the number of text tokens.",
            "BadRequestError",
        ),
        Refused("longer than the maximum model length", "too_long"),
        worked=False,
        tells=False,
    ),
    _form(
        "no chat template",
        "bad request",
        lambda _: _error(400, _NO_TEMPLATE, "BadRequestError"),
        Refused("must provide a chat template"),
        worked=False,
        tells=False,
    ),
    _form(
        "validation",
        "bad request",
        lambda _: _error(
            400,
            "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted'}]",
            "Bad Request",
        ),
        Refused("Extra inputs are not permitted"),
        worked=False,
        tells=False,
    ),
    _form(
        "key", "key", lambda _: Reply({"error": "Unauthorized"}, 401), Ends("Unauthorized"), worked=False, tells=False
    ),
    _form(
        "model",
        "model",
        lambda _: _error(404, "The model `x` does not exist.", "NotFoundError", "model"),
        Ends("The model `x` does not exist"),
        worked=False,
        tells=False,
    ),
    _form(
        "model, older",
        "model",
        lambda _: _old_error(404, "The model `x` does not exist.", "NotFoundError"),
        Ends("The model `x` does not exist"),
        worked=False,
        tells=False,
    ),
    _form(
        "wrong path",
        "model",
        lambda _: Reply({"detail": "Not Found"}, 404),
        Ends("Not Found"),
        worked=False,
        tells=False,
    ),
)
