"""What calls cost: by what the endpoint counted, and at worst, before it was asked.

The worst case of a call is its prompt, by an estimate that is seldom too low, and as many tokens as its answer may
have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from producers.backends.base import Request
from schemas.events import Usage

_BYTES_A_TOKEN = 3.0  # English has over four; other scripts fewer, down to about two
_TOKENS_A_MESSAGE = 8


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens; None is unknown, and then so is the cost."""

    prompt: float | None = None
    completion: float | None = None

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.completion is not None

    def cost(self, usage: Usage | None) -> float | None:
        """What an answer cost."""
        if usage is None or self.prompt is None or self.completion is None:
            return None
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1_000_000


@dataclass(frozen=True)
class WorstCase:
    """What a call may take: None is not known, because its answer has no limit or its tokens no price."""

    tokens: int | None
    usd: float | None


@dataclass(frozen=True)
class PlannedCall:
    """A call that is to be made, with what else is.

    call        its worst case
    again       whether it was attempted before: then it goes before those for which something is only kept
    under_way   of this process's other requests that were begun and are not answered yet; those that are to be
                attempted again are among them when this is the first attempt at its own
    together    of those that are to start in the same moment and are not on the log yet
    largest     the worst that this process has seen; for calls of which it knows nothing else
    """

    call: WorstCase
    again: bool
    under_way: Sequence[WorstCase]
    together: Sequence[WorstCase]
    largest: WorstCase


def worst_case(request: Request, prices: Prices) -> WorstCase:
    """What a request may take."""
    text = request.prompt if request.prompt is not None else "".join(message.content for message in request.messages)
    prompt = math.ceil(len(text.encode()) / _BYTES_A_TOKEN) + _TOKENS_A_MESSAGE * max(1, len(request.messages))
    most = request.sampling.max_tokens
    if most is None:
        return WorstCase(None, None)
    return WorstCase(prompt + most, prices.cost(Usage(prompt_tokens=prompt, completion_tokens=most)))


def larger(first: WorstCase, second: WorstCase) -> WorstCase:
    """The larger of two in each respect; unknown is larger than all."""
    tokens = None if first.tokens is None or second.tokens is None else max(first.tokens, second.tokens)
    return WorstCase(tokens, None if first.usd is None or second.usd is None else max(first.usd, second.usd))
