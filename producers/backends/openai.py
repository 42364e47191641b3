"""Answers from any OpenAI-compatible endpoint: chat, plain completion, or chat with structured output.

One `complete` is one HTTP request: the client's own retries are off. No more of a response is read than a limit
(`producers.backends.bounded`). An error is read in whatever shape it comes (`error_bodies`), also inside a 200, and one
function decides what it is about (`blame`). What an answer that cannot be used has taken is told with its failure.

The key is sent to the endpoint and goes nowhere else; should the endpoint repeat it in an error, it is blotted out. A
base URL of one's own never gets the key that OPENAI_API_KEY holds, only the one in the settings; an endpoint on this
machine is reached past any proxy.

Not known here: whether an attempt that timed out was answered, and paid for, at the other end.
"""

import asyncio
import time
from collections.abc import Mapping
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
    too_large,
)
from producers.backends.blame import Blame, blame
from producers.backends.bounded import BodyTooLarge
from producers.backends.error_bodies import ErrorBody, error_in, read_error
from producers.backends.openai_message import MessageText, message_text, was_filtered
from producers.backends.proxies import client_of
from producers.backends.waits import asked_wait, wait_in
from schemas.errors import ConfigurationError
from schemas.events import Usage

_SHOWN = 400  # characters of an endpoint's message that are kept
_MOST_TOKENS = 10_000_000  # of a call; what counts more has not counted
_STREAMED = ("data:", "event:", ":")  # server-sent events, which were not asked for
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


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
        max_answer_bytes: int = 1024 * 1024,
    ) -> None:
        self._name = name
        self._model = model
        self._timeout_s = timeout_s
        self._max_tokens_field = max_tokens_field
        self._max_answer_bytes = max_answer_bytes
        host = urlsplit(base_url).hostname if base_url else None
        if base_url and (not host or urlsplit(base_url).scheme not in ("http", "https")):
            raise ConfigurationError(f"base_url is {masked(base_url)!r}; give one like http://127.0.0.1:8000/v1.")
        try:
            self._client = openai.AsyncOpenAI(
                base_url=base_url,
                # Servers of one's own mostly want no key, but the client insists on having one.
                api_key=api_key or ("none" if base_url else None),
                timeout=timeout_s,
                max_retries=0,
                http_client=client_of(
                    host or "api.openai.com",
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
        self._secrets += secrets_of_url(base_url or "")
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
            max_answer_bytes=settings.max_answer_bytes,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def model(self) -> str:
        return self._model

    async def complete(self, request: Request, place: CallPlace) -> Answer:
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
                kind=FailureKind.TIME_OUT,
                perhaps_paid=not isinstance(error.__cause__, _NEVER_SENT),
            ) from error
        except BodyTooLarge:
            raise too_large(self._max_answer_bytes, None, None) from None
        except openai.APIStatusError as error:
            # The client's own error holds the request with its headers: it must not travel on.
            response = error.response
            raise self._failure(error.status_code, read_error(response.text), response.headers) from None
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
        return self._read(body, time.monotonic() - started)

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

    def _read(self, body: Any, latency_s: float) -> Answer:
        """The answer that a body holds, or the failure that it tells of, with what it has taken."""
        usage = _usage(getattr(body, "usage", None))
        said = error_in(_json(body))
        if isinstance(body, str) and body.strip() and not body.lstrip().startswith(_STREAMED):
            said = read_error(body)
        if said is not None:
            raise self._failure(200, said, {}, usage)
        try:
            return self._answer(body, usage, latency_s)
        except (Transient, RequestRefused) as failure:
            failure.usage, failure.perhaps_paid = usage, usage is None
            raise

    def _answer(self, body: Any, usage: Usage | None, latency_s: float) -> Answer:
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
            # Gemini leaves the message out where a filter took it, or where thoughts took all tokens.
            nothing = MessageText(None if reason is None else "", None, reason)
            said = nothing if message is None else message_text(message, reason)
        if not said.text and was_filtered(reason):
            raise RequestRefused(
                f"{self._where} gave no answer but `{self._clean(str(reason))}`. It does not like this prompt.",
                status=200,
                reason="flagged",
            )
        if said.text is None:
            raise Transient(f"{self._where} sent a body that holds no answer.", kind=FailureKind.GARBLED)
        if not said.text and reason is not None and reason.lower() == "error":
            raise Transient(
                f"{self._where} broke the answer off with an error before its first word.", kind=FailureKind.GARBLED
            )
        model = getattr(body, "model", None)
        return Answer(
            raw=said.text.encode("utf-8", "replace").decode(),  # half a surrogate pair could not be stored
            reasoning=said.reasoning,
            finish_reason=said.finish_reason,
            usage=None if said.text and usage is not None and not usage.completion_tokens else usage,
            model=model if isinstance(model, str) and model else self._model,
            latency_s=latency_s,
        )

    def _failure(
        self, status: int, said: ErrorBody, headers: Mapping[str, str], usage: Usage | None = None
    ) -> CallFailure:
        """The failure that an error is; one inside a 200 has the status that it tells of itself, if it does."""
        told = (said.status or status) if status < 300 else status
        text = self._clean(said.text).rstrip(". ") or "nothing that says why"
        inside = "" if told == status else f" with an error {told} in its body"
        text = f"{self._where} answered {status}{inside}: {text}"
        match blame(told, said.codes, said.text):
            case Blame.FLAGGED:
                return RequestRefused(
                    f"{text}. It does not like this prompt.", status=told, usage=usage, reason="flagged"
                )
            case Blame.TOO_LONG:
                return RequestRefused(
                    f"{text}. The request is too long for it.", status=told, usage=usage, reason="too_long"
                )
            case Blame.REQUEST:
                return RequestRefused(f"{text}. Does the model take these parameters?", status=told, usage=usage)
            case Blame.CREDIT:
                return EndpointRefused(f"{text}. The account has no money left.", status=told, usage=usage)
            case Blame.ENDPOINT:
                return EndpointRefused(
                    f"{text}. Check SEDI_API_KEY, SEDI_MODEL and SEDI_BASE_URL.", status=told, usage=usage
                )
            case Blame.PASSING | Blame.UNKNOWN:
                wait = asked_wait({**said.headers, **headers}, time.time(), limited=told == 429)
                wait = wait_in(said.text) if wait is None else wait
                garbled = told < 300
                text = f"{text} (a body that holds no answer)" if garbled else text
                failure = Transient(
                    f"{text}.",
                    status=told,
                    retry_after_s=wait,
                    usage=usage,
                    kind=FailureKind.GARBLED if garbled else None,
                )
                failure.perhaps_paid = usage is None and (garbled or failure.kind is FailureKind.TIME_OUT)
                return failure

    def _clean(self, text: str) -> str:
        text = masked(text, self._secrets)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _json(body: Any) -> Any:
    """A body as the JSON value that it came as; the client makes objects of any."""
    if isinstance(body, list):
        return [_json(part) for part in body]
    return body.to_dict(warnings=False) if isinstance(body, openai.BaseModel) else body


def _usage(usage: Any) -> Usage | None:
    """What the endpoint counted; None when it does not say, or what no call can have taken.

    What `total_tokens` holds beyond both counts are thoughts, which Gemini leaves out of `completion_tokens`, or all of
    these where an answer has nothing else; they are paid for as tokens of the answer.
    """
    prompt, completion, total = (
        count if type(count) is int and 0 <= count <= _MOST_TOKENS else None
        for count in (getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    )
    if completion is None and getattr(usage, "completion_tokens", None) is None and prompt is not None:
        completion = None if total is None or total < prompt else 0
    if prompt is None or completion is None:
        return None
    thoughts = max(0, (total or 0) - prompt - completion)
    return Usage(prompt_tokens=prompt, completion_tokens=completion + thoughts)
