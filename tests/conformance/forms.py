"""A form: one answer or error as one server sends it, with the expected result of `OpenAIBackend.complete`.

Bodies are built from a `Payload`, so that the same form carries any text and any count of tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from producers.backends.base import FailureKind, Reason
from tests.unit.producers import endpoint

How = Literal["whole", "half", "nothing", "silent", "endless"]
"""How a response is sent: whole; half of its bytes, then the connection closes; closed without a byte; nothing until
the client gives up; endless bytes."""

Api = Literal["chat", "completion"]

LARGEST_ANSWER = 64 * 1024
"""The maximum answer in bytes, in the tests; a larger one is refused."""


@dataclass(frozen=True)
class Payload:
    """The content of an answer.

    completion_tokens   all generated tokens, including reasoning
    cached_tokens       of the prompt, in servers that report them
    wait_s              seconds of a server's request to wait
    """

    text: str = "The Seine, the Rhine and the Danube."
    thought: str = "They ask for rivers. Which ones?"
    prompt_tokens: int = 210
    completion_tokens: int = 34
    thought_tokens: int = 12
    cached_tokens: int = 64
    wait_s: int = 7
    serial: int = 1
    model: str = "tiny-1"

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Reply(endpoint.Reply):
    """One HTTP response, and how it is sent."""

    how: How = "whole"


def plain_text(payload: Payload) -> str:
    return payload.text


def thought(payload: Payload) -> str | None:
    return payload.thought


@dataclass(frozen=True)
class Answered:
    """An answer. `text` is the backend's result, `reads` its text after `answer_text`."""

    finish_reason: str | None = "stop"
    text: Callable[[Payload], str] = plain_text
    reads: Callable[[Payload], str] = plain_text
    reasoning: Callable[[Payload], str | None] = lambda _: None


@dataclass(frozen=True)
class Waits:
    """A temporary error: the request is retried, not before `wait_s` if the server asks for that.

    says   the part of the server's own reason in the message
    """

    says: str
    kind: FailureKind
    asks: bool = False


@dataclass(frozen=True)
class Refused:
    """An error of this request: its generation is written empty, and the next one follows."""

    says: str
    reason: Reason = "refused"


@dataclass(frozen=True)
class Ends:
    """An error of the key, the model, the account or the URL: the generator ends with it."""

    says: str


Want = Answered | Waits | Refused | Ends


@dataclass(frozen=True)
class Form:
    """One row of a dialect's table.

    kind     a key of `KINDS`
    worked   the server has generated tokens for it
    tells    it reports how many, in a readable form
    """

    server: str
    name: str
    kind: str
    reply: Callable[[Payload], Reply]
    want: Want
    api: Api = "chat"
    worked: bool = True
    tells: bool = True

    @property
    def id(self) -> str:
        return f"{self.server}: {self.name}"

    def cached(self, payload: Payload) -> int | None:
        """The cached tokens in its reply; None: it reports none, as its body is the same whatever their number."""
        other = replace(payload, cached_tokens=payload.cached_tokens + 1)
        reports = self.worked and self.tells and self.reply(payload).body != self.reply(other).body
        return payload.cached_tokens if reports else None

    def serves(self, api: Api) -> bool:
        """Whether it can answer a request to this API; errors can answer any."""
        return self.api == api or not isinstance(self.want, Answered)


KINDS: dict[str, str] = {
    # normal
    "plain": "an answer with all the fields of that server",
    "completion": "the same of a plain completion",
    "reasoning": "reasoning beside the answer",
    # odd
    "cut": "an answer that was cut off",
    "ended otherwise": "another reason to end, or none",
    "reasoning only": "reasoning and no answer",
    "thoughts in the text": "reasoning inside of the text",
    "marks in the text": "marks of a chat template in the text",
    "parts": "content as a list of parts",
    "empty": "an answer without text, or a call of a tool",
    "refusal": "a refusal",
    "thoughts not counted": "thoughts that only the total counts",
    "no usage": "no usage",
    "impossible usage": "usage that cannot be",
    "odd HTTP": "an answer in unusual HTTP",
    # faults that pass
    "rate limit": "a rate limit",
    "overloaded": "overloaded, or still loading",
    "server fault": "a fault of the server",
    "overloaded in a 200": "an error that passes, inside a 200",
    "gateway page": "an error page of a gateway",
    "dropped": "a dropped connection",
    "too slow": "no answer in time",
    "garbled": "a body that holds no answer",
    "no choices": "an answer without choices",
    # faults of this request
    "filtered": "a filter took the answer",
    "flagged": "the prompt was flagged",
    "too long": "longer than the context",
    "bad request": "a request that it does not take",
    "huge": "an answer that is too large",
    # faults of the setting
    "key": "a wrong key",
    "model": "no such model, or URL",
    "account": "an account without money or permission",
}
"""The kinds of forms, in the order of the docs."""

PASSING = (
    "rate limit",
    "overloaded",
    "server fault",
    "overloaded in a 200",
    "gateway page",
    "dropped",
    "too slow",
    "garbled",
    "no choices",
)
OF_THE_REQUEST = ("filtered", "flagged", "too long", "huge")
