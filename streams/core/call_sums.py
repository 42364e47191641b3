"""Sums over the answers to LLM calls: how many, their tokens, their cost, their latency."""

from collections.abc import Callable, Iterable

import msgspec

from schemas.events import CallAnswered

Price = Callable[[CallAnswered], float | None]
"""The cost of an answer in USD; None: not known."""


class CallSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums.

    tokens, usd   None once an answer reports none, or its cost is not known; prompts are among the tokens
    seconds       the latencies, one after the other
    """

    calls: int = 0
    tokens: int | None = 0
    usd: float | None = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, answers: Iterable[CallAnswered], price: Price) -> "CallSums":
        """The sums of these answers; `price`: of an answer whose cost is not recorded."""
        sums = cls()
        for answer in answers:
            usage = answer.usage
            sums += cls(
                calls=1,
                tokens=None if usage is None else usage.prompt_tokens + usage.completion_tokens,
                usd=price(answer) if answer.cost_usd is None else answer.cost_usd,
                seconds=answer.latency_s,
            )
        return sums

    def __add__(self, other: "CallSums") -> "CallSums":
        return CallSums(
            calls=self.calls + other.calls,
            tokens=None if self.tokens is None or other.tokens is None else self.tokens + other.tokens,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            seconds=self.seconds + other.seconds,
        )
