"""Answers from any OpenAI-compatible endpoint: chat, plain completion, or chat with structured output.

One `complete` is one HTTP request: the client's own retries are off. The bytes read of a response are limited
(`producers.backends.bounded`). An error is read in any form (`error_bodies`), also with status 200, and one function
decides what it is about (`blame`). The failure for an unusable answer has the tokens that the answer took.

The key is sent to the endpoint and nowhere else; if the endpoint repeats it in an error, it is masked. An endpoint with
a base URL never gets the key in OPENAI_API_KEY, only the one in the settings. An endpoint on this machine is reached
without a proxy.

Not known here: whether an attempt that timed out was answered and paid for.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion

from infra.masking import masked, secrets_of_url, shown_url
from infra.settings import Settings
from producers.backends.base import (
    Answer,
    CallFailure,
    CallPlace,
    EndpointRefused,
    FailureKind,
    Request,
    RequestRefused,
    Transient,
    generates_only,
    too_large,
)
from producers.backends.blame import Blame, blame
from producers.backends.bounded import BodyTooLarge
from producers.backends.error_bodies import ErrorBody, error_in, read_error
from producers.backends.openai_message import MessageText, message_text, was_filtered
from producers.backends.proxies import client_of
from producers.backends.usage import usage_in
from producers.backends.waits import asked_wait, wait_in
from schemas.errors import ConfigurationError
from schemas.events import Usage

_SHOWN = 400  # characters of an endpoint's message
_STREAMED = ("data:", "event:", ":")  # server-sent events, which were not requested
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class OpenAIBackend:
    """One endpoint and model; the settings have checked `base_url`. `name` is `openai`, or `builtin` for the server."""

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
        max_answer_bytes: int = 1024 * 1024,
        prompt_cache_key: str | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._timeout_s = timeout_s
        self._max_tokens_field = max_tokens_field
        self._max_answer_bytes = max_answer_bytes
        self._prompt_cache_key = prompt_cache_key
        host = urlsplit(base_url).hostname if base_url else None
        try:
            self.client = openai.AsyncOpenAI(
                base_url=base_url,
                # Most local servers need no key, but the client requires one.
                api_key=api_key or ("none" if base_url else None),
                timeout=timeout_s,
                max_retries=0,
                http_client=client_of(
                    host or "api.openai.com",
                    timeout=timeout_s,
                    # As many are kept open as there are calls at once: opening one may take longer than a call.
                    limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                ),
            )
        except openai.OpenAIError as error:
            raise ConfigurationError(
                "There is no key for OpenAI's endpoint. Set SEDI_API_KEY, or SEDI_BASE_URL for another endpoint."
            ) from error
        self._secrets = [key for key in (api_key, self.client.api_key) if key and key != "none"]
        self._secrets += secrets_of_url(base_url or "")
        self._where = shown_url(str(self.client.base_url))

    @classmethod
    def of(cls, settings: Settings) -> "OpenAIBackend":
        """The endpoint that the settings name. Raises ConfigurationError if they name no model."""
        if not settings.model:
            raise ConfigurationError(
                "No model is named, and there is no default. Set SEDI_MODEL or --model to one that the endpoint has."
            )
        return cls(
            model=settings.model,
            base_url=settings.base_url,
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout_s=settings.request_timeout_s,
            max_tokens_field=settings.max_tokens_field,
            max_answer_bytes=settings.max_answer_bytes,
            prompt_cache_key=settings.prompt_cache_key,
        )

    @property
    def account(self) -> tuple[str, str]:
        """URL and key: backends with the same ones share the endpoint's rate limits."""
        return str(self.client.base_url), self.client.api_key

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """Send one HTTP request. Raises CallFailure."""
        self._accept(request)
        started = time.monotonic()
        with self.translated(self._timeout_s):
            # The client's time-out is for each read; this one is for the whole attempt.
            async with asyncio.timeout(self._timeout_s):
                body = await self._send(request)
        return self.read(request, body, time.monotonic() - started)

    async def close(self) -> None:
        await self.client.close()

    @contextmanager
    def translated(self, timeout_s: float) -> Iterator[None]:
        """Raise the client's errors in this context as CallFailure; `timeout_s`: the time-out in it."""
        try:
            yield
        except (openai.APITimeoutError, TimeoutError) as error:
            raise Transient(
                f"{self._where} did not answer within {timeout_s:g} s. If its answers take longer, raise "
                "SEDI_REQUEST_TIMEOUT_S.",
                kind=FailureKind.TIME_OUT,
                perhaps_paid=not isinstance(error.__cause__, _NEVER_SENT),
            ) from error
        except BodyTooLarge:
            raise too_large(self._max_answer_bytes, None, None) from None
        except openai.APIStatusError as error:
            # The client's own error holds the request with its headers, so it is not chained.
            response = error.response
            raise self.failure(error.status_code, read_error(response.text), response.headers) from None
        except openai.APIConnectionError as error:
            why = self._clean(str(error.__cause__ or error))
            if isinstance(error.__cause__, _NEVER_SENT):
                text = f"{self._where} cannot be reached ({why}). Does it run? Is SEDI_BASE_URL right?"
                raise Transient(text) from None
            if isinstance(error.__cause__, httpx2.DecodingError):
                text = f"{self._where} sent a body that cannot be decompressed ({why})."
                raise Transient(text, kind=FailureKind.GARBLED, perhaps_paid=True) from None
            raise Transient(f"{self._where} broke the connection off ({why}).", perhaps_paid=True) from None
        except (openai.OpenAIError, ValueError, TypeError, RecursionError) as error:
            raise Transient(
                f"{self._where} sent a body that is no answer ({type(error).__name__}).",
                kind=FailureKind.GARBLED,
                perhaps_paid=True,
            ) from None

    def _accept(self, request: Request) -> None:
        """Raises EndpointRefused for a request that is not for this backend."""
        generates_only(self.name, request)

    async def _send(self, request: Request) -> Any:
        body = self.body_of(request)
        create: Any = self.client.completions.create if "prompt" in body else self.client.chat.completions.create
        return await create(**body)

    def body_of(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request: of a plain completion if it has a `prompt`, else of a chat."""
        options: dict[str, Any] = dict(request.sampling.given())
        if request.stop:
            options["stop"] = list(request.stop)
        if request.prompt is not None:
            return {"model": self.model, "prompt": request.prompt, **options}
        if "max_tokens" in options:
            options[self._max_tokens_field] = options.pop("max_tokens")
        if self._prompt_cache_key is not None:
            options["prompt_cache_key"] = self._prompt_cache_key
        if request.json_schema is not None:
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "tasks", "schema": dict(request.json_schema), "strict": True},
            }
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        return {"model": self.model, "messages": messages, **options}

    def read(self, request: Request, body: Any, latency_s: float) -> Answer:
        """The answer in a body, as the client reads it. Raises CallFailure, with the tokens it took."""
        usage = usage_in(getattr(body, "usage", None))
        found = error_in(json_of(body))
        if isinstance(body, str) and body.strip() and not body.lstrip().startswith(_STREAMED):
            found = read_error(body)
        if found is not None:
            raise self.failure(200, found, {}, usage)
        try:
            return self._answer(request, body, usage, latency_s)
        except (Transient, RequestRefused) as failure:
            failure.usage, failure.perhaps_paid = usage, usage is None
            raise

    def _answer(self, request: Request, body: Any, usage: Usage | None, latency_s: float) -> Answer:
        """The client does not validate a body: it may lack any field, or be plain text."""
        choices = getattr(body, "choices", None) if isinstance(body, ChatCompletion | Completion) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        reason = getattr(choice, "finish_reason", None)
        reason = reason if isinstance(reason, str) else None
        if isinstance(body, Completion):
            text = getattr(choice, "text", None)
            content = MessageText(text if isinstance(text, str) else None, None, reason)
        else:
            message = getattr(choice, "message", None)
            # Gemini leaves the message out if a filter removed it, or if reasoning took all tokens.
            empty = MessageText(None if reason is None else "", None, reason)
            content = empty if message is None else message_text(message, reason)
        if not content.text and was_filtered(reason):
            raise RequestRefused(
                f"{self._where} gave no answer but `{self._clean(str(reason))}`. Its content filter refused it.",
                status=200,
                reason="flagged",
            )
        if content.text is None:
            raise Transient(f"{self._where} sent a body that holds no answer.", kind=FailureKind.GARBLED)
        if not content.text and reason is not None and reason.lower() == "error":
            raise Transient(
                f"{self._where} broke the answer off with an error before its first word.", kind=FailureKind.GARBLED
            )
        model = getattr(body, "model", None)
        return Answer(
            raw=content.text.encode("utf-8", "replace").decode(),  # half a surrogate pair could not be stored
            reasoning=content.reasoning,
            finish_reason=content.finish_reason,
            usage=None if content.text and usage is not None and not usage.completion_tokens else usage,
            model=model if isinstance(model, str) and model else self.model,
            latency_s=latency_s,
        )

    def failure(
        self, http_status: int, error: ErrorBody, headers: Mapping[str, str], usage: Usage | None = None
    ) -> CallFailure:
        """The failure for an error. With HTTP status 200 the status in the body counts, if there is one."""
        status = (error.status or http_status) if http_status < 300 else http_status
        text = self._clean(error.text).rstrip(". ") or "nothing that says why"
        inside = "" if status == http_status else f" with an error {status} in its body"
        text = f"{self._where} answered {http_status}{inside}: {text}"
        known: dict[str, Any] = {"status": status, "usage": usage}
        match blame(status, error.codes, error.text):
            case Blame.FLAGGED:
                return RequestRefused(f"{text}. Its content filter refused this prompt.", reason="flagged", **known)
            case Blame.TOO_LONG:
                return RequestRefused(f"{text}. The request is too long for it.", reason="too_long", **known)
            case Blame.REQUEST:
                return RequestRefused(f"{text}. Does the model take these parameters?", **known)
            case Blame.CREDIT:
                return EndpointRefused(f"{text}. The account has no credit left.", **known)
            case Blame.ENDPOINT:
                return EndpointRefused(f"{text}. Check SEDI_API_KEY, SEDI_MODEL and SEDI_BASE_URL.", **known)
            case Blame.PASSING | Blame.UNKNOWN:
                wait = asked_wait({**error.headers, **headers}, time.time(), limited=status == 429)
                wait = wait_in(error.text) if wait is None else wait
                garbled = status < 300
                text = f"{text} (a body that holds no answer)" if garbled else text
                kind = FailureKind.GARBLED if garbled else None
                failure = Transient(f"{text}.", retry_after_s=wait, kind=kind, **known)
                failure.perhaps_paid = usage is None and (garbled or failure.kind is FailureKind.TIME_OUT)
                return failure

    def _clean(self, text: str) -> str:
        text = masked(text, self._secrets)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def json_of(body: Any) -> Any:
    """A body as a JSON value again; the client turns any into an object."""
    if isinstance(body, list):
        return [json_of(part) for part in body]
    return body.to_dict(warnings=False) if isinstance(body, openai.BaseModel) else body
