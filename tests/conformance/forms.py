"""A form: one answer or error as one server sends it, with what is right to make of it.

Bodies are made of a `Said`, so that the same form carries any text and any count of tokens. What a form wants is what
`OpenAIBackend.complete` must give for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from producers.backends.base import FailureKind, Reason

How = Literal["whole", "half", "nothing", "silent", "endless"]
"""How a response comes: whole; half of its bytes and then the end of the connection; the end without a byte; nothing
until the client gives up; bytes without end."""

Api = Literal["chat", "completion"]

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that may be stored, in the tests; a form whose answer is larger is refused for that."""


@dataclass(frozen=True)
class Said:
    """What an answer is made of.

    completion_tokens   all that were generated, thoughts among them
    wait_s              what a server that asks to wait asks for, in seconds
    """

    text: str = "The Seine, the Rhine and the Danube."
    thought: str = "They ask for rivers. Which ones?"
    prompt_tokens: int = 210
    completion_tokens: int = 34
    thought_tokens: int = 12
    wait_s: int = 7
    serial: int = 1
    model: str = "tiny-1"

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Reply:
    """One HTTP response; a `body` that is a string is sent as it is."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    how: How = "whole"


def as_said(said: Said) -> str:
    return said.text


def thought(said: Said) -> str | None:
    return said.thought


@dataclass(frozen=True)
class Answered:
    """An answer. `text` is what the backend gives, `reads` what is left of it once it is read (`answer_text`)."""

    finish_reason: str | None = "stop"
    text: Callable[[Said], str] = as_said
    reads: Callable[[Said], str] = as_said
    reasoning: Callable[[Said], str | None] = lambda _: None


@dataclass(frozen=True)
class Waits:
    """The moment is at fault: the request is made again, not before `wait_s` where the server asks for that.

    says   what of the server's own reason is in the message
    """

    says: str
    kind: FailureKind
    asks: bool = False


@dataclass(frozen=True)
class Refused:
    """This request is at fault: its generation is written empty, and the next one goes on."""

    says: str
    reason: Reason = "refused"


@dataclass(frozen=True)
class Ends:
    """The key, the model, the account or the URL is at fault: the generator ends and says so."""

    says: str


Want = Answered | Waits | Refused | Ends


@dataclass(frozen=True)
class Form:
    """One row of a dialect's table.

    kind     what it is an example of, a key of `KINDS`
    worked   the server has generated tokens for it
    tells    it says how many, in a way that can be read
    """

    server: str
    name: str
    kind: str
    reply: Callable[[Said], Reply]
    want: Want
    api: Api = "chat"
    worked: bool = True
    tells: bool = True

    @property
    def id(self) -> str:
        return f"{self.server}: {self.name}"

    def serves(self, api: Api) -> bool:
        """Whether it may answer a request to this API: errors answer any."""
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
"""What forms are examples of, in the order that the docs tell them."""

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
