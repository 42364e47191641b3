"""Reads an endpoint's error from the body of its response, in any of the forms in use.

    {"error": {"message": …, "type": …, "code": …}}     OpenAI, Azure, OpenRouter, LiteLLM, vLLM, llama.cpp, Anthropic
    {"error": "…"}                                      Ollama
    {"message": …, "type": …, "code": …}, {"detail": …}  older vLLM, gateways
    {"detail": [{"loc": […], "msg": …}]}                FastAPI
    [{"error": {…}}]                                    Gemini
    plain text, HTML, nothing

`read_error` is for a response with an error status; `error_in` looks for an error in a response with status 200. The
text is one line without control characters. Secrets are masked elsewhere (`infra.masking`).
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TEXTS = ("message", "msg", "detail", "description", "error_description", "title", "reason", "errors", "error")
_CODES = ("code", "type", "status", "param_code")
_INNER = ("innererror", "inner_error", "content_filter_result")
_MOST_PARTS = 5  # of a list
_MOST_DEPTH = 6  # of nested JSON
_MOST_READ = 100_000  # characters of a body that are read as JSON
_MOST_PLAIN = 10_000  # characters of any other body
_DROPPED = re.compile(r"<(script|style|head)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z/!][^>]*>")


@dataclass(frozen=True)
class ErrorBody:
    """The error that was read.

    text      its message; empty if there is none
    codes     its names and numbers, in lower case, the outermost first
    headers   headers that the body quotes: how long to wait
    """

    text: str = ""
    codes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int | None:
        """The HTTP status among the codes, if there is one."""
        numbers = (int(code) for code in self.codes if re.fullmatch(r"[45]\d\d", code))
        return next(numbers, None)


def read_error(raw: str) -> ErrorBody:
    """The error in the body of a response with an error status."""
    if len(raw) > _MOST_READ:
        return ErrorBody(_plain(raw))
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return ErrorBody(_plain(raw))
    return _of(body)


def error_in(body: Any) -> ErrorBody | None:
    """The error in the body of a response with status 200; None if there is none.

    body   the JSON value, or whatever the body was
    """
    if isinstance(body, list):
        return next((found for found in map(error_in, body) if found is not None), None)
    if not isinstance(body, Mapping):
        return None
    if body.get("error"):
        return _of(body)
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        first = choices[0]
        return _of(first) if isinstance(first, Mapping) and first.get("error") else None
    if str(body.get("object")) == "error" or any(body.get(name) for name in ("message", "detail", "errors")):
        return _of(body)
    return None


def _of(body: Any) -> ErrorBody:
    codes = tuple(dict.fromkeys(_codes(body, _MOST_DEPTH)))
    return ErrorBody(_line(_text(body, _MOST_DEPTH)), codes, dict(_headers(body, _MOST_DEPTH)))


def _text(value: Any, depth: int) -> str:
    """The message in a JSON value."""
    if depth == 0 or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return _unpacked(value, depth)
    if isinstance(value, list):
        parts = [_text(part, depth - 1) for part in value[:_MOST_PARTS]]
        return "; ".join(part for part in parts if part)
    if not isinstance(value, Mapping):
        return str(value)
    found = value.get("error")
    text = _text(found, depth - 1) if found and not isinstance(found, bool) else ""
    text = text or next((text for name in _TEXTS if (text := _text(value.get(name), depth - 1))), "")
    place = value.get("loc")
    if text and isinstance(place, list):
        text = f"{'.'.join(map(str, place))}: {text}"
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping):  # a router's words about the provider behind it
        more = [_text(metadata.get(name), depth - 1) for name in ("reasons", "raw")]
        text = "; ".join(part for part in (text, *more) if part)
    return text


def _unpacked(text: str, depth: int) -> str:
    """A text, or the message in it if it is JSON in a string."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return _text(inner, depth - 1) or text
    return _plain(text)


def _codes(value: Any, depth: int) -> Iterator[str]:
    """Codes of an error and of the errors nested in it."""
    if depth == 0:
        return
    if isinstance(value, list):
        for part in value[:_MOST_PARTS]:
            yield from _codes(part, depth - 1)
    if not isinstance(value, Mapping):
        return
    if isinstance(value.get("error"), Mapping | list):
        yield from _codes(value["error"], depth - 1)
    for name in _CODES:
        code = value.get(name)
        if isinstance(code, str | int) and not isinstance(code, bool) and str(code).strip():
            yield str(code).strip().lower()
    for name in (*_INNER, "details"):
        yield from _codes(value.get(name), depth - 1)
    if isinstance(value.get("reason"), str):  # of Gemini's details, such as API_KEY_INVALID
        yield value["reason"].lower()
    yield from _codes_of_a_router(value.get("metadata"))


def _codes_of_a_router(metadata: Any) -> Iterator[str]:
    """OpenRouter's further codes: that a moderation refused, or that a 402 is only about the calls in flight."""
    if not isinstance(metadata, Mapping):
        return
    if metadata.get("reasons") or metadata.get("flagged_input"):
        yield "moderation"
    for name in ("reason", "limit_source"):
        if isinstance(metadata.get(name), str):
            yield metadata[name].lower()


def _headers(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Waits in a body: headers that a router passes on, and Gemini's `retryDelay`."""
    if depth == 0:
        return
    if isinstance(value, list):
        for part in value[:_MOST_PARTS]:
            yield from _headers(part, depth - 1)
    if not isinstance(value, Mapping):
        return
    delay = value.get("retryDelay")
    if isinstance(delay, str):
        yield "retry-after", delay
    headers = value.get("headers")
    if isinstance(headers, Mapping):
        yield from ((str(name), str(text)) for name, text in headers.items())
    for name in ("error", "details", "metadata"):
        yield from _headers(value.get(name), depth - 1)


def _plain(text: str) -> str:
    """A text without HTML tags, with a page's title first."""
    text = text[:_MOST_PLAIN]
    if not _TAG.search(text):
        return _line(text)
    title = _TITLE.search(text)
    words = _line(html.unescape(_TAG.sub(" ", _DROPPED.sub(" ", text))))
    named = "" if title is None else _line(html.unescape(title[1]))
    return words if words.startswith(named) else f"{named}: {words}"


def _line(text: str) -> str:
    """The text on one line, without control characters and half surrogate pairs."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())
