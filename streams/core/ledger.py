"""The ledger: what LLM calls were made, how they ended, and what they cost; a fold of the `calls` topic.

A call is one attempt at one request. It is started, and then it answers or fails. An attempt without an outcome is
*lost* once a later attempt of its request has started or its request has been answered: the answer may have been paid
for and nobody has it. Before that it is *open*: it is being made now, or its generator died and has not come back.

    started = answered + failed + lost + open      (for a log that holds each call's start)

Tokens and cost are the sums of what answers say, and of what failed attempts say that they took all the same; how many
do not say is counted beside them. What a lost call cost is not known, nor what a failed one did that is `perhaps_paid`:
then the cost of all is not known either. Events that stand twice on the log (same request, attempt and kind, which make
the id) are dropped and counted.

It holds no more than what may still change: of each lane the requests of its last `WINDOW` generations, since a lane
never works further ahead of its oldest unwritten generation than that; and, however old, those with an open attempt or
another attempt to follow.
A start from before that window stands twice. An outcome from before it would be counted again: no writer makes one.
The state is plain data, so that a copy of it can be kept and gone on from.
"""

from collections.abc import Iterable

import msgspec

from schemas.events import CallAnswered, CallFailed, CallStarted, Event, Usage

WINDOW = 1024
"""Generations of a lane, up to its newest, whose calls are remembered; a lane never has more under way."""


class RequestState(msgspec.Struct):
    """One request that is remembered; attempts are numbers. `lane` is empty until a start was seen.

    retried   failed attempts that are to be followed by another
    """

    lane: str = ""
    number: int = -1
    started: list[int] = []
    answered: list[int] = []
    failed: list[int] = []
    retried: list[int] = []

    def pending(self) -> Iterable[int]:
        """Attempts that were started and have no outcome."""
        return (n for n in self.started if n not in self.answered and n not in self.failed)

    def lost(self) -> int:
        """Pending attempts that the request went on without."""
        latest = max(self.started, default=0)
        return sum(1 for attempt in self.pending() if self.answered or attempt < latest)

    def open(self) -> int:
        """Pending attempts that may still end."""
        return sum(1 for _ in self.pending()) - self.lost()

    def retrying(self) -> bool:
        """Whether its last attempt failed and another is to follow."""
        return not self.answered and max([*self.started, *self.failed], default=0) in self.retried


class LaneState(msgspec.Struct):
    """One lane: its newest generation, how many attempts are open, and its requests by generation, as they came."""

    newest: int = -1
    open: int = 0
    requests: dict[int, list[str]] = {}


class Ledger(msgspec.Struct):
    """The state of the fold. Numbers only grow, except `lost` and `open`, which follow from what is pending.

    repeated               answers beyond the first to the same request: paid twice
    repeated_cost_usd      what these say that they cost
    prompt_tokens          of the answers that tell; `without_usage` counts those that do not; and of failed attempts
    known_cost_usd         of the answers and failed attempts that tell; `without_cost` counts answers that do not, and
                           failed attempts of which only the tokens are known
    failed_paid            failed attempts that took tokens
    perhaps_paid           failed attempts that may have been paid for and do not tell
    duplicates             events dropped because they stood twice
    lost                   attempts without an outcome that never will have one: their request went on without them
    open                   attempts without an outcome that may still be under way
    retrying               requests that failed and are to be attempted again
    lanes, requests        what is remembered; see above
    unplaced               ids of requests of which only an outcome was seen, oldest first
    """

    started: int = 0
    answered: int = 0
    failed: int = 0
    repeated: int = 0
    repeated_cost_usd: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    without_usage: int = 0
    known_cost_usd: float = 0.0
    without_cost: int = 0
    failed_paid: int = 0
    perhaps_paid: int = 0
    duplicates: int = 0
    lost: int = 0
    open: int = 0
    retrying: int = 0
    lanes: dict[str, LaneState] = {}
    requests: dict[str, RequestState] = {}
    unplaced: dict[str, None] = {}

    def apply(self, event: Event, ce_id: str) -> bool:
        """Take an event of `calls` into account, in log order.

        False, and no change but to `duplicates`, for one already applied. Events of other topics are passed over
        (False). An outcome may come before its start, as when a start was unreadable and is put back.
        """
        match event:
            case CallStarted():
                fresh = self._start(event)
            case CallAnswered():
                fresh = self._end(event, answered=True)
                if fresh:
                    self._answer(event)
            case CallFailed():
                fresh = self._end(event, answered=False)
                if fresh:
                    self._failure(event)
            case _:
                return False
        self.duplicates += not fresh
        return fresh

    @property
    def cost_usd(self) -> float | None:
        """What all calls cost together, but for lost ones; None when it is not known of one of them. `known_cost_usd`
        is a lower bound."""
        return None if self.without_cost or self.perhaps_paid else self.known_cost_usd

    @property
    def tokens(self) -> int:
        """Tokens of the answers and failed attempts that tell."""
        return self.prompt_tokens + self.completion_tokens

    def open_of(self, lane: str) -> int:
        """Attempts of a lane that may still be under way."""
        state = self.lanes.get(lane)
        return 0 if state is None else state.open

    def _start(self, event: CallStarted) -> bool:
        lane = self.lanes.setdefault(event.lane, LaneState())
        state = self.requests.get(event.request_id)
        if state is None:
            if event.number <= lane.newest - WINDOW:
                return False
            state = self.requests[event.request_id] = RequestState()
        if event.attempt in state.started:
            return False
        if not state.lane:
            state.lane, state.number = event.lane, event.number
            self.unplaced.pop(event.request_id, None)
            lane.requests.setdefault(event.number, []).append(event.request_id)
        self.started += 1
        before = state.lost(), state.open(), state.retrying()
        state.started = [*state.started, event.attempt]
        self._changed(state, *before)
        if event.number > lane.newest:
            self._forget(lane, event.number)
        return True

    def _end(self, event: CallAnswered | CallFailed, *, answered: bool) -> bool:
        state = self.requests.get(event.request_id)
        if state is None:
            state = self.requests[event.request_id] = RequestState()
            self.unplaced[event.request_id] = None
            if len(self.unplaced) > WINDOW:
                oldest = next(iter(self.unplaced))
                del self.unplaced[oldest], self.requests[oldest]
        if event.attempt in (state.answered if answered else state.failed):
            return False
        before = state.lost(), state.open(), state.retrying()
        if answered:
            state.answered = [*state.answered, event.attempt]
        else:
            state.failed = [*state.failed, event.attempt]
            if isinstance(event, CallFailed) and event.retry:
                state.retried = [*state.retried, event.attempt]
        self._changed(state, *before)
        return True

    def _changed(self, state: RequestState, lost: int, open: int, retrying: bool) -> None:
        """Count anew what a request has pending, which was so much before."""
        self.lost += state.lost() - lost
        self.retrying += state.retrying() - retrying
        opened = state.open() - open
        self.open += opened
        if state.lane:
            self.lanes[state.lane].open += opened

    def _answer(self, event: CallAnswered) -> None:
        self.answered += 1
        if len(self.requests[event.request_id].answered) > 1:
            self.repeated += 1
            self.repeated_cost_usd += event.cost_usd or 0.0
        self.without_usage += event.usage is None
        self._spend(event.usage, event.cost_usd)

    def _failure(self, event: CallFailed) -> None:
        self.failed += 1
        self.perhaps_paid += event.perhaps_paid
        if event.usage is not None or event.cost_usd is not None:
            self.failed_paid += 1
            self._spend(event.usage, event.cost_usd)

    def _spend(self, usage: Usage | None, cost_usd: float | None) -> None:
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if cost_usd is None:
            self.without_cost += 1
        else:
            self.known_cost_usd += cost_usd

    def _forget(self, lane: LaneState, newest: int) -> None:
        """Drop what is before the window that ends at `newest`, except requests that are not settled."""
        lane.newest = newest
        if len(lane.requests) <= WINDOW:
            return
        for number in [number for number in lane.requests if number <= newest - WINDOW]:
            left = [id for id in lane.requests[number] if self._unsettled(self.requests[id])]
            for id in set(lane.requests[number]) - set(left):
                del self.requests[id]
            if left:
                lane.requests[number] = left
            else:
                del lane.requests[number]

    @staticmethod
    def _unsettled(state: RequestState) -> bool:
        return state.open() > 0 or state.retrying()
