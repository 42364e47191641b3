"""The text of an answer in the OpenAI forms, wherever a server puts it.

Content is a text, or a list of parts whose text parts are the answer. Reasoning is in `reasoning_content` (vLLM,
DeepSeek, llama.cpp), in `reasoning` (OpenRouter, Ollama, newer vLLM), or in parts of the type `thinking` or `reasoning`
(Mistral, Anthropic's form). A refusal is in `refusal`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streams.core.parse.answer_text import REFUSED

_FILTERED = re.compile(
    r"content.?filter|safety|prohibited_content|blocklist|\bspii\b|moderation|sensitive|guardrail", re.IGNORECASE
)
_REASONING_FIELDS = ("reasoning_content", "reasoning")
_REASONING_PARTS = ("thinking", "reasoning", "reasoning_text", "redacted_thinking", "summary_text")


@dataclass(frozen=True)
class MessageText:
    """`text` is None if the message has none. A refusal has its own `finish_reason` where the endpoint says `stop`."""

    text: str | None
    reasoning: str | None
    finish_reason: str | None


def message_text(message: Any, finish_reason: str | None) -> MessageText:
    """Read an endpoint's message. Any field may be missing or of another type."""
    content = getattr(message, "content", None)
    text = content if isinstance(content, str) else None
    reasoning = [part for name in _REASONING_FIELDS if isinstance(part := getattr(message, name, None), str)][:1]
    if isinstance(content, list):
        parts = list(_parts(content))
        text = "".join(part for is_reasoning, part in parts if not is_reasoning)
        reasoning += [part for is_reasoning, part in parts if is_reasoning]
    refusal = getattr(message, "refusal", None)
    if not text and isinstance(refusal, str) and refusal:
        return MessageText(refusal, _joined(reasoning), REFUSED)
    if text is None and (reasoning or content is None):
        text = ""  # there is only reasoning, or a tool call
    return MessageText(text, _joined(reasoning), finish_reason)


def was_filtered(finish_reason: str | None) -> bool:
    """Whether a content filter ended the answer: `content_filter`, `SAFETY`, and so on."""
    return finish_reason is not None and _FILTERED.search(finish_reason) is not None


def _parts(content: list[Any]) -> Iterator[tuple[bool, str]]:
    """(whether it is reasoning, text) of each part with text."""
    for part in content:
        if isinstance(part, str):
            yield False, part
        elif isinstance(part, dict):
            kind = part.get("type")
            if kind in _REASONING_PARTS:
                yield True, _inside(part.get("thinking", part.get("reasoning", part.get("text"))))
            elif isinstance(part.get("text"), str):
                yield False, part["text"]


def _inside(value: Any) -> str:
    """The text of a reasoning part, which may have parts itself."""
    if isinstance(value, list):
        return "".join(text for _, text in _parts(value))
    return value if isinstance(value, str) else ""


def _joined(parts: list[str]) -> str | None:
    joined = "\n".join(part for part in parts if part.strip())
    return joined.encode("utf-8", "replace").decode() or None
