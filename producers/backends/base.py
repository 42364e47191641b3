"""The interface of all backends: one request in, one answer out, and errors that say whether a retry may help.

    BackendError
    └── CallFailure             one attempt ended without a usable answer
        ├── Transient           a retry may help: time-out, connection, 408, 409, 429, 5xx, a garbled body
        ├── RequestRefused      this request will never be answered: a content filter, too long, 400, 413, 422
        └── EndpointRefused     no request will be answered: key, model or credit; 401, 402, 403, 404, 405

`producers.backends.blame` decides which of these an endpoint's error is.
A backend makes exactly one attempt a call and never retries by itself, so that each attempt is on the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, TypedDict, Unpack, runtime_checkable

from schemas.errors import BackendError
from schemas.events import Instruction, Usage


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters. None leaves a parameter out of the request, so that the endpoint's default holds."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None

    def given(self) -> dict[str, Any]:
        """The parameters that are set, by their name in the API, `max_tokens` among them."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Scoring:
    """A segment, and the instructions whose effect on its likelihood is asked.

    instructions   the candidates, by place; None: not to be scored. Their outputs do not count
    """

    segment: str
    instructions: tuple[Instruction | None, ...]


@dataclass(frozen=True)
class Request:
    """A prompt: the `messages` of a chat, the `prompt` of a plain completion, or a `scoring`, exactly one of them.

    json_schema   the answer must be JSON of this schema; chat only
    scoring       for the scorers (`producers.documents.scoring`), which answer with `schemas.segments.SegmentScores`
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    scoring: Scoring | None = None

    def __post_init__(self) -> None:
        if bool(self.messages) + (self.prompt is not None) + (self.scoring is not None) != 1:
            raise ValueError("a request has messages, a prompt, or a scoring, and only one of them")

    @property
    def text(self) -> str:
        """The prompt, or the contents of all messages, a line each."""
        return "\n".join(message.content for message in self.messages) if self.prompt is None else self.prompt


@dataclass(frozen=True)
class CallPlace:
    """Which call this is: the step-th of a lane's number-th generation; `attempt` counts from 1.

    trace_root   the id that names its trace; empty: it has one of its own
    """

    lane: str
    number: int
    step: int
    attempt: int
    request_id: str
    trace_root: str = ""


@dataclass(frozen=True)
class Answer:
    """An answer. `usage`, `finish_reason` and `reasoning` are None if the endpoint does not report them."""

    raw: str
    finish_reason: str | None
    usage: Usage | None
    model: str
    latency_s: float
    reasoning: str | None = None


class _Known(TypedDict, total=False):
    """What is known of a failed attempt, see `CallFailure`."""

    status: int | None
    retry_after_s: float | None
    usage: Usage | None
    perhaps_paid: bool


class CallFailure(BackendError):
    """An attempt ended without a usable answer; `status` is the HTTP status, if any.

    usage          tokens that the endpoint reports for it; None: not reported
    perhaps_paid   usage is not reported, and the attempt may have been paid for
    event_id       of its `CallFailed`, once that is on the log
    """

    retryable = False
    event_id: str | None = None

    def __init__(self, message: str, **known: Unpack[_Known]) -> None:
        super().__init__(message)
        self.status = known.get("status")
        self.retry_after_s = known.get("retry_after_s")
        self.usage = known.get("usage")
        self.perhaps_paid = known.get("perhaps_paid", False) and self.usage is None


class FailureKind(Enum):
    """Why an attempt failed; `producers.calls.retries` and `producers.calls.rate_control` depend on it.

    busy     the endpoint has no capacity: make fewer calls at once
    broken   the endpoint does not work: after many in a row the circuit breaker opens
    """

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIME_OUT = "time_out"
    UNREACHABLE = "unreachable"
    GARBLED = "garbled"

    @property
    def busy(self) -> bool:
        return self in (FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR, FailureKind.TIME_OUT)

    @property
    def broken(self) -> bool:
        return self is not FailureKind.RATE_LIMITED


class Transient(CallFailure):
    """A retry may help, after `retry_after_s` if set. Without a `kind` the status decides it."""

    retryable = True

    def __init__(self, message: str, *, kind: FailureKind | None = None, **known: Unpack[_Known]) -> None:
        super().__init__(message, **known)
        self.kind = kind or _kind_of(self.status)


def _kind_of(status: int | None) -> FailureKind:
    match status:
        case None:
            return FailureKind.UNREACHABLE
        case 402 | 429:
            return FailureKind.RATE_LIMITED
        case 408 | 504 | 524:
            return FailureKind.TIME_OUT
        case _:
            return FailureKind.SERVER_ERROR


Reason = Literal["refused", "flagged", "too_long", "too_large"]
"""Why a request is refused: no reason given; its content; the prompt is too long; the answer is too large."""


class RequestRefused(CallFailure):
    """The endpoint will not give this request a usable answer, however often it is sent."""

    def __init__(self, message: str, *, reason: Reason = "refused", **known: Unpack[_Known]) -> None:
        super().__init__(message, **known)
        self.reason = reason


def too_large(limit: int, size: int | None, usage: Usage | None) -> RequestRefused:
    """The failure for an answer of more than `limit` bytes; `size`: its bytes, if they were counted."""
    has = "more bytes than are read" if size is None else f"{size:,} bytes"
    return RequestRefused(
        f"The answer has {has}, and {limit:,} may be stored. Raise SEDI_MAX_ANSWER_BYTES, or lower the tokens of an "
        "answer.",
        usage=usage,
        perhaps_paid=usage is None,
        reason="too_large",
    )


class EndpointRefused(CallFailure):
    """The endpoint answers no request: the key, model or URL is wrong, or the account has no credit."""

    permanent = True


def generates_only(backend: str, request: Request) -> None:
    """Raises EndpointRefused for a scoring: this backend answers prompts only."""
    if request.scoring is not None:
        raise EndpointRefused(
            f"The backend `{backend}` answers prompts and scores no segments. Name a scorer: --scorer builtin, a model "
            "folder, or an endpoint that returns log-probabilities of prompts (--scorer-backend endpoint)."
        )


class Backend(Protocol):
    """`name` and `model` go into the events. `model` is the requested one; an answer names the one that answered."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """Make one attempt. Raises CallFailure."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


@runtime_checkable
class ScorerBackend(Backend, Protocol):
    """A backend that answers scorings, beside the one that generates. `local`: it computes in this process, so its
    tokens cost nothing and no endpoint limits their rate."""

    @property
    def local(self) -> bool: ...

    def most_usage(self, scoring: Scoring) -> Usage | None:
        """The most tokens that a scoring takes, by the scorer's tokenizer; None: it has none. Raises EndpointRefused
        when the scorer cannot be used."""
        ...


@runtime_checkable
class OutlivingBackend(Backend, Protocol):
    """A backend whose attempts go on when the process ends; the next start of the lane takes them up. Nothing is won by
    waiting for them to end. `started_as`: its name in the starts of calls."""

    @property
    def started_as(self) -> str: ...

    def booked(self, place: CallPlace) -> None:
        """The outcome of an attempt is on the log."""
        ...


@runtime_checkable
class EndpointBackend(Backend, Protocol):
    """A backend that asks an endpoint. `account`: its URL and key, the same for backends that share its rate limits;
    to be compared only."""

    @property
    def account(self) -> tuple[str, str]: ...
