"""Answers from any OpenAI-compatible endpoint: chat, plain completion, or chat with structured output.

One `complete` is one HTTP request: the client's own retries are off. The key is sent to the endpoint and goes nowhere
else; should the endpoint repeat it in an error, it is blotted out. A base URL of one's own never gets the key that
OPENAI_API_KEY holds, only the one in the settings; an endpoint on this machine is reached past any proxy.

Not known here: whether an attempt that timed out was answered, and paid for, at the other end.
"""

import asyncio
import time
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion

from infra.settings import Settings
from producers.backends.base import (
    Answer,
    CallFailure,
    EndpointRefused,
    Kind,
    Place,
    Request,
    RequestRefused,
    Transient,
)
from producers.backends.openai_message import MessageText, message_text
from schemas.errors import ConfigurationError
from schemas.events import Usage

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_REFUSES_REQUEST = (400, 413, 422)
_REFUSES_ALL = (401, 402, 403, 404, 405)
_SHOWN = 400  # characters of an endpoint's message that are kept


class OpenAIBackend:
    """One endpoint and model. `name` is `openai`, or `builtin` when the endpoint is the built-in server."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        name: str = "openai",
        connections: int = 256,
    ) -> None:
        self._name = name
        self._model = model
        self._timeout_s = timeout_s
        self._max_tokens_field = max_tokens_field
        host = urlsplit(base_url).hostname if base_url else None
        if base_url and (not host or urlsplit(base_url).scheme not in ("http", "https")):
            raise ConfigurationError(f"base_url is {shown_url(base_url)!r}; give one like http://127.0.0.1:8000/v1.")
        try:
            self._client = openai.AsyncOpenAI(
                base_url=base_url,
                # Servers of one's own mostly want no key, but the client insists on having one.
                api_key=api_key or ("none" if base_url else None),
                timeout=timeout_s,
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(
                    trust_env=host not in _LOOPBACK,
                    timeout=timeout_s,
                    # As many are kept as there are calls at once: a new one for each call would cost more than it.
                    limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                ),
            )
        except openai.OpenAIError as error:
            raise ConfigurationError(
                "There is no key for OpenAI's endpoint. Set SEDI_API_KEY, or SEDI_BASE_URL for another endpoint."
            ) from error
        self._secrets = [key for key in (api_key, self._client.api_key) if key and key != "none"]
        self._where = shown_url(str(self._client.base_url))

    @classmethod
    def of(cls, settings: Settings) -> "OpenAIBackend":
        """The endpoint that the settings name. Raises ConfigurationError when they name no model."""
        if not settings.model:
            raise ConfigurationError(
                "No model is named, and none is taken by default. Set SEDI_MODEL or --model to one the endpoint has."
            )
        return cls(
            model=settings.model,
            base_url=settings.base_url,
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout_s=settings.request_timeout_s,
            max_tokens_field=settings.max_tokens_field,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def model(self) -> str:
        return self._model

    async def complete(self, request: Request, place: Place) -> Answer:
        """Send one HTTP request, whatever becomes of it. Raises CallFailure."""
        started = time.monotonic()
        try:
            # The client's time-out is one of silence; this one is of the whole attempt.
            async with asyncio.timeout(self._timeout_s):
                body = await self._send(request)
        except (openai.APITimeoutError, TimeoutError) as error:
            raise Transient(
                f"{self._where} did not answer within {self._timeout_s:g} s. If its answers take longer, raise "
                "SEDI_REQUEST_TIMEOUT_S.",
                kind=Kind.TIME_OUT,
            ) from error
        except openai.APIStatusError as error:
            # The client's own error holds the request with its headers: it must not travel on.
            raise self._refusal(error) from None
        except openai.APIConnectionError as error:
            raise Transient(
                f"{self._where} cannot be reached ({self._clean(str(error.__cause__ or error))}). Does it run? "
                "Is SEDI_BASE_URL right?"
            ) from None
        except (openai.OpenAIError, ValueError, TypeError) as error:
            raise Transient(
                f"{self._where} sent a body that is no answer ({type(error).__name__}).", kind=Kind.GARBLED
            ) from None
        return self._answer(body, time.monotonic() - started)

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, request: Request) -> Any:
        options: dict[str, Any] = dict(request.sampling.given())
        if request.stop:
            options["stop"] = list(request.stop)
        if request.prompt is not None:
            return await self._client.completions.create(model=self._model, prompt=request.prompt, **options)
        if "max_tokens" in options:
            options[self._max_tokens_field] = options.pop("max_tokens")
        if request.json_schema is not None:
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "tasks", "schema": dict(request.json_schema), "strict": True},
            }
        messages: Any = [{"role": message.role, "content": message.content} for message in request.messages]
        return await self._client.chat.completions.create(model=self._model, messages=messages, **options)

    def _answer(self, body: Any, latency_s: float) -> Answer:
        """The client checks nothing of a body: what it hands out may lack any field, or be plain text."""
        choices = getattr(body, "choices", None) if isinstance(body, ChatCompletion | Completion) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        reason = getattr(choice, "finish_reason", None)
        reason = reason if isinstance(reason, str) else None
        if isinstance(body, Completion):
            text = getattr(choice, "text", None)
            said = MessageText(text if isinstance(text, str) else None, None, reason)
        else:
            message = getattr(choice, "message", None)
            said = MessageText(None, None, None) if message is None else message_text(message, reason)
        if said.text is None:
            raise Transient(f"{self._where} sent a body that holds no answer.", kind=Kind.GARBLED)
        if not said.text and reason is not None and reason.lower() == "error":
            raise Transient(
                f"{self._where} broke the answer off with an error before its first word.", kind=Kind.GARBLED
            )
        model = getattr(body, "model", None)
        return Answer(
            raw=said.text.encode("utf-8", "replace").decode(),  # half a surrogate pair could not be stored
            reasoning=said.reasoning,
            finish_reason=said.finish_reason,
            usage=_usage(getattr(body, "usage", None)),
            model=model if isinstance(model, str) and model else self._model,
            latency_s=latency_s,
        )

    def _refusal(self, error: openai.APIStatusError) -> CallFailure:
        status = error.status_code
        said = f"{self._where} answered {status}: {self._clean(error.message)}"
        if status in _REFUSES_REQUEST:
            return RequestRefused(f"{said}. Does the model take these parameters?", status=status)
        if error.code == "insufficient_quota":
            return EndpointRefused(f"{said}. The account has no money left.", status=status)
        if status in _REFUSES_ALL:
            return EndpointRefused(f"{said}. Check SEDI_API_KEY, SEDI_MODEL and SEDI_BASE_URL.", status=status)
        return Transient(said, status=status, retry_after_s=_retry_after(error))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _usage(usage: Any) -> Usage | None:
    counts = (getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None))
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Usage(prompt_tokens=counts[0], completion_tokens=counts[1])  # type: ignore[arg-type]


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds the endpoint asks to wait, given in milliseconds, seconds or as a date."""
    from email.utils import parsedate_to_datetime

    for header, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = error.response.headers.get(header)
        if value is None:
            continue
        try:
            return max(0.0, float(value) / divisor)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            continue
    return None


def shown_url(url: str) -> str:
    """The URL without a user name, password or query, any of which may be a secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")
