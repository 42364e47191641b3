"""What calls took: a sum of tokens and money, and what of it is not known. One rule for every count of them.

An answer without usage took tokens that nobody knows; one without a cost, money. A failed attempt counts like an answer
where the endpoint reports what it took. Where it reports nothing it took nothing, unless it may have been paid for
(`perhaps_paid`): then its tokens and its money are unknown. As soon as one part of a sum is unknown, the sum is:
`tokens` and `cost_usd` are None then, never the rest of it. `known_tokens` and `known_cost_usd` are that rest, a lower
bound.

A call that was lost has no outcome, so it is in no sum; whoever shows a sum shows the number of lost calls beside it.
"""

from collections.abc import Iterable

import msgspec

from schemas.events import CallAnswered, CallFailed, Usage


class Spent(msgspec.Struct, kw_only=True):
    """A sum over calls.

    calls            those with an outcome: answers and failed attempts
    cached_tokens    of the prompt tokens, those that were in an endpoint's cache; `with_cached` calls report them
    known_cost_usd   of those with a known cost
    without_usage    answers of unknown tokens
    without_cost     answers, and failed attempts with usage, of unknown cost
    perhaps_paid     failed attempts that may have been paid for and report nothing
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    known_cost_usd: float = 0.0
    with_cached: int = 0
    without_usage: int = 0
    without_cost: int = 0
    perhaps_paid: int = 0

    @property
    def tokens(self) -> int | None:
        """Prompt and completion tokens; None when those of one call are not known."""
        return None if self.without_usage or self.perhaps_paid else self.known_tokens

    @property
    def known_tokens(self) -> int:
        """Prompt and completion tokens of the calls that report them."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost_usd(self) -> float | None:
        """The cost in USD; None when that of one call is not known."""
        return None if self.without_cost or self.perhaps_paid else self.known_cost_usd

    def add_answers(self, answers: Iterable[CallAnswered]) -> None:
        """Add answers, each paid for once."""
        for answer in answers:
            self.add_answer(answer.usage, answer.cost_usd)

    def add_answer(self, usage: Usage | None, cost_usd: float | None) -> None:
        self.calls += 1
        self.without_usage += usage is None
        self._add(usage, cost_usd)

    def add_failure(self, event: CallFailed) -> None:
        self.calls += 1
        self.perhaps_paid += event.perhaps_paid
        if event.usage is not None or event.cost_usd is not None:
            self._add(event.usage, event.cost_usd)

    def add_unknown(self, calls: int) -> None:
        """Add answers that were never asked for, so that nobody knows what they would have taken."""
        self.calls += calls
        self.without_usage += calls
        self.without_cost += calls

    def merge(self, other: "Spent") -> None:
        """Add another sum."""
        for name in Spent.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _add(self, usage: Usage | None, cost_usd: float | None) -> None:
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
            if usage.cached_tokens is not None:
                self.cached_tokens += usage.cached_tokens
                self.with_cached += 1
        if cost_usd is None:
            self.without_cost += 1
        else:
            self.known_cost_usd += cost_usd
