"""What calls cost: by the endpoint's token counts, and at worst, before the call is made.

The worst case of a call is an estimate of its prompt's tokens that is rarely too low, plus the most tokens its answer
may have. Of a scoring by a scorer with a tokenizer it is exact: no scoring takes more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from infra.settings import Settings
from producers.backends.base import Backend, Request, ScorerBackend, Scoring
from schemas.events import CallAnswered, Usage

_BYTES_A_TOKEN = 3.0  # English has over four; other scripts fewer, down to about two
_TOKENS_A_MESSAGE = 8
_TOKENS_A_TEMPLATE = 64  # around an instruction and a segment; chat templates may bring a system prompt


@dataclass(frozen=True)
class Prices:
    """USD per million tokens. None is unknown, and so is the cost then."""

    prompt: float | None = None
    completion: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Prices":
        """The prices in the settings."""
        return cls(settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens)

    def in_batches(self) -> "Prices":
        """The prices of what is asked in batches: half, as OpenAI has it."""
        halves = (None if price is None else price / 2 for price in (self.prompt, self.completion))
        return Prices(*halves)

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.completion is not None

    def cost(self, usage: Usage | None) -> float | None:
        """The cost in USD; None: not known."""
        if usage is None or self.prompt is None or self.completion is None:
            return None
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1_000_000


FREE = Prices(0.0, 0.0)
"""Of what is computed in this process."""


@dataclass(frozen=True)
class WorstCase:
    """The most a call may take. None is not known: its answer has no token limit, or tokens have no price."""

    tokens: int | None
    usd: float | None


@dataclass(frozen=True)
class PlannedCall:
    """A call to be made, with the worst cases of the calls around it.

    call        its own
    retry       whether it was attempted before; a retry may use the budget reserved for retries
    in_flight   this process's other unanswered requests; those due for a retry are among them when this call is a first
                attempt
    starting    calls of the same round, whose starts are not on the log yet
    largest     the largest so far in this process; assumed for calls of other processes
    """

    call: WorstCase
    retry: bool
    in_flight: Sequence[WorstCase]
    starting: Sequence[WorstCase]
    largest: WorstCase


def total_cost(answers: Sequence[CallAnswered]) -> float | None:
    """The cost of all answers in USD; None if one is not known."""
    costs = [answer.cost_usd for answer in answers]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def worst_case(request: Request, prices: Prices, backend: Backend | None = None) -> WorstCase:
    """The worst case of a request; `backend` answers it. Raises EndpointRefused when that is a scorer that cannot be
    used."""
    if request.scoring is not None:
        known = backend.most_usage(request.scoring) if isinstance(backend, ScorerBackend) else None
        usage = known or _estimated(request.scoring)
        return WorstCase(usage.prompt_tokens + usage.completion_tokens, prices.cost(usage))
    text = request.prompt if request.prompt is not None else "".join(message.content for message in request.messages)
    prompt = _tokens(text) + _TOKENS_A_MESSAGE * max(1, len(request.messages))
    most = request.sampling.max_tokens
    if most is None:
        return WorstCase(None, None)
    return WorstCase(prompt + most, prices.cost(Usage(prompt_tokens=prompt, completion_tokens=most)))


def _estimated(scoring: Scoring) -> Usage:
    """The segment after each instruction and after none; an endpoint also answers each with a token."""
    asked = [f"{each.instruction}{each.input}" for each in scoring.instructions if each is not None]
    texts = [scoring.segment, scoring.segment, *(text + scoring.segment for text in asked)]
    prompt = sum(_tokens(text) + _TOKENS_A_TEMPLATE for text in texts)
    return Usage(prompt_tokens=prompt, completion_tokens=len(texts))


def _tokens(text: str) -> int:
    return math.ceil(len(text.encode()) / _BYTES_A_TOKEN)


def larger(first: WorstCase, second: WorstCase) -> WorstCase:
    """The larger of both in each field; unknown counts as largest."""
    tokens = None if first.tokens is None or second.tokens is None else max(first.tokens, second.tokens)
    return WorstCase(tokens, None if first.usd is None or second.usd is None else max(first.usd, second.usd))
