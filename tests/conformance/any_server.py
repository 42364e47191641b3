"""Answers that any server may give in addition to its table: JSON that is not an answer, too large or odd answers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import LARGEST_ANSWER, Answered, Form, Payload, Refused, Reply, Waits

_SERVER = "any server"


def _too_large(payload: Payload) -> Reply:
    return Reply(openai.chat(payload, {"role": "assistant", "content": payload.text + "x" * LARGEST_ANSWER}))


def _completion(text: str | None = None, finish_reason: str = "stop", **changes: Any) -> Callable[[Payload], Reply]:
    def reply(payload: Payload) -> Reply:
        payload = payload if text is None else replace(payload, text=text)
        return Reply({**openai.completion(payload, finish_reason=finish_reason), **changes})

    return reply


def _counted(**more: str) -> Callable[[Payload], Reply]:
    """A plain answer whose usage has further fields, each with the payload's number of that name."""

    def reply(payload: Payload) -> Reply:
        counted = openai.usage(payload, **{name: getattr(payload, of) for name, of in more.items()})
        return Reply(openai.chat(payload, {"role": "assistant", "content": payload.text}, counted=counted))

    return reply


_odd = partial(Form, _SERVER, api="completion")

FORMS = (
    Form(_SERVER, "too large, counted", "huge", _too_large, Refused("may be stored", "too_large")),
    Form(
        _SERVER,
        "other JSON",
        "garbled",
        lambda _: Reply({"status": "ok"}),
        Waits("no answer", FailureKind.GARBLED),
        tells=False,
    ),
    Form(_SERVER, "a list", "garbled", lambda _: Reply([]), Waits("no answer", FailureKind.GARBLED), tells=False),
    # other places of the cached tokens: DeepSeek's, Moonshot's, and those of gateways to Anthropic's models
    Form(_SERVER, "cache hits", "plain", _counted(prompt_cache_hit_tokens="cached_tokens"), Answered()),
    Form(_SERVER, "cached", "plain", _counted(cached_tokens="cached_tokens"), Answered()),
    Form(_SERVER, "cache reads", "plain", _counted(cache_read_input_tokens="cached_tokens"), Answered()),
    # odd answers of plain completions, of which the tables have the usual ones
    _odd("completion, cut", "cut", _completion(finish_reason="length"), Answered("length")),
    _odd("completion, empty", "empty", _completion(""), Answered(text=lambda _: "", reads=lambda _: "")),
    _odd("completion, no usage", "no usage", _completion(usage=None), Answered(), tells=False),
    _odd(
        "completion, negative",
        "impossible usage",
        _completion(usage={"prompt_tokens": -1, "completion_tokens": 9}),
        Answered(),
        tells=False,
    ),
)
