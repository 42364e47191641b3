"""The ledger: what LLM calls were made, how they ended, and what they cost; a fold of the `calls` topic.

A call is one attempt at one request. It is started, and then it answers or fails. An attempt without an outcome is
*lost* once a later attempt of its request has started or its request has been answered: the answer may have been paid
for and nobody has it. Before that it is *open*: it is being made now, or its generator died and has not come back.

    started = answered + failed + lost + open      (for a log that holds each call's start)

Tokens and cost are the sums of what the answers say; how many answers do not say is counted beside them. What a lost
call cost is not known. Events that stand twice on the log (same CloudEvents id) are dropped and counted.
"""

from dataclasses import dataclass, field

from schemas.events import CallAnswered, CallFailed, CallStarted, Event


@dataclass
class Ledger:
    """The state of the fold. Numbers only grow, except `lost` and `open`, which follow from what is pending.

    repeated               answers beyond the first to the same request: paid twice
    prompt_tokens          of the answers that tell; `without_usage` counts those that do not
    known_cost_usd         of the answers that tell; `without_cost` counts those that do not
    duplicates             events dropped because their id had been seen
    """

    started: int = 0
    answered: int = 0
    failed: int = 0
    repeated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    without_usage: int = 0
    known_cost_usd: float = 0.0
    without_cost: int = 0
    duplicates: int = 0
    _seen: set[str] = field(default_factory=set, repr=False)
    _pending: set[tuple[str, int]] = field(default_factory=set, repr=False)
    _ended_early: set[tuple[str, int]] = field(default_factory=set, repr=False)
    _latest: dict[str, int] = field(default_factory=dict, repr=False)
    _answered: set[str] = field(default_factory=set, repr=False)

    def apply(self, event: Event, ce_id: str) -> bool:
        """Take an event of `calls` into account, in log order.

        False, and no change but to `duplicates`, for an id already applied. Events of other topics are passed over
        (False). An outcome may come before its start: other readers of the same log may deliver it so.
        """
        if not isinstance(event, CallStarted | CallAnswered | CallFailed):
            return False
        if ce_id in self._seen:
            self.duplicates += 1
            return False
        self._seen.add(ce_id)
        call = (event.request_id, event.attempt)
        match event:
            case CallStarted():
                self.started += 1
                self._latest[event.request_id] = max(event.attempt, self._latest.get(event.request_id, 0))
                if call in self._ended_early:
                    self._ended_early.discard(call)
                else:
                    self._pending.add(call)
            case CallAnswered():
                self._answer(event)
                self._end(call)
            case CallFailed():
                self.failed += 1
                self._end(call)
        return True

    def _end(self, call: tuple[str, int]) -> None:
        if call in self._pending:
            self._pending.discard(call)
        else:
            self._ended_early.add(call)

    def _answer(self, event: CallAnswered) -> None:
        self.answered += 1
        if event.request_id in self._answered:
            self.repeated += 1
        self._answered.add(event.request_id)
        if event.usage is None:
            self.without_usage += 1
        else:
            self.prompt_tokens += event.usage.prompt_tokens
            self.completion_tokens += event.usage.completion_tokens
        if event.cost_usd is None:
            self.without_cost += 1
        else:
            self.known_cost_usd += event.cost_usd

    @property
    def lost(self) -> int:
        """Attempts without an outcome that never will have one: their request went on without them."""
        return sum(1 for request, attempt in self._pending if self._passed(request, attempt))

    @property
    def open(self) -> int:
        """Attempts without an outcome that may still be under way."""
        return len(self._pending) - self.lost

    @property
    def cost_usd(self) -> float | None:
        """What all answers cost together; None when one of them does not say. `known_cost_usd` is a lower bound."""
        return None if self.without_cost else self.known_cost_usd

    def _passed(self, request: str, attempt: int) -> bool:
        return request in self._answered or attempt < self._latest.get(request, 0)
