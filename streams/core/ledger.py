"""The ledger: LLM calls, their outcomes and their cost; a fold of the `calls` topic.

A call is one attempt at one request. It is started, and then answered or failed. An attempt without an outcome is
*lost* once a later attempt of its request has started or its request has been answered: it may have been paid for, and
there is no answer. Before that it is *open*: it is in flight, or its generator died and has not restarted.

    started = answered + failed + lost + open      (for a log that holds each call's start)

Tokens and cost are those of answers and failed attempts, by the rule of `streams.core.spent`; a lost call has neither,
and is counted. Duplicate events (same request, attempt and kind, which make the id) are dropped and counted.

The state holds what may still change: the requests of each lane's last `WINDOW` generations, because a lane never works
further ahead of its oldest unwritten generation; and older ones with an open attempt or a retry to follow. A start from
before the window is a duplicate. No writer writes an outcome from before it. The state is plain data, for snapshots.
"""

from collections.abc import Iterable

import msgspec

from schemas.events import CallAnswered, CallFailed, CallStarted, Event
from streams.core.spent import Spent

WINDOW = 1024
"""The number of a lane's latest generations whose calls are kept; a lane never has more in flight."""


class RequestState(msgspec.Struct):
    """One request; attempts are numbers. `lane` is empty until a start was seen.

    retried   failed attempts that will be followed by another
    """

    lane: str = ""
    number: int = -1
    started: list[int] = []
    answered: list[int] = []
    failed: list[int] = []
    retried: list[int] = []

    def pending(self) -> Iterable[int]:
        """Started attempts without an outcome."""
        return (n for n in self.started if n not in self.answered and n not in self.failed)

    def lost(self) -> int:
        """Pending attempts that were superseded by a later one or an answer."""
        latest = max(self.started, default=0)
        return sum(1 for attempt in self.pending() if self.answered or attempt < latest)

    def open(self) -> int:
        """Pending attempts that may still have an outcome."""
        return sum(1 for _ in self.pending()) - self.lost()

    def retrying(self) -> bool:
        """Whether its last attempt failed and another will follow."""
        return not self.answered and max([*self.started, *self.failed], default=0) in self.retried


class LaneState(msgspec.Struct):
    """One lane: its newest generation, the number of open attempts, and its requests by generation."""

    newest: int = -1
    open: int = 0
    requests: dict[int, list[str]] = {}


class Ledger(Spent, kw_only=True):
    """The state of the fold, with what its calls took. Numbers only grow, except `lost` and `open`, which follow from
    pending attempts.

    repeated               answers beyond the first to the same request: paid twice
    repeated_cost_usd      their reported cost
    failed_paid            failed attempts that used tokens
    duplicates             dropped duplicate events
    lost                   attempts that will never have an outcome
    open                   attempts that may still have an outcome
    retrying               requests that failed and will be retried
    lanes, requests        see above
    unplaced               ids of requests of which only an outcome was seen, oldest first
    """

    started: int = 0
    answered: int = 0
    failed: int = 0
    repeated: int = 0
    repeated_cost_usd: float = 0.0
    failed_paid: int = 0
    duplicates: int = 0
    lost: int = 0
    open: int = 0
    retrying: int = 0
    lanes: dict[str, LaneState] = msgspec.field(default_factory=dict)
    requests: dict[str, RequestState] = msgspec.field(default_factory=dict)
    unplaced: dict[str, None] = msgspec.field(default_factory=dict)

    def apply(self, event: Event, ce_id: str) -> bool:
        """Apply an event of `calls`, in log order.

        False for a duplicate, which only counts in `duplicates`, and for events of other topics, which are ignored. An
        outcome may come before its start, if the start was unreadable and was written again later.
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
        """Update the totals after a request's pending attempts changed; the arguments are its values before."""
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
        self.add_answer(event.usage, event.cost_usd)

    def _failure(self, event: CallFailed) -> None:
        self.failed += 1
        self.failed_paid += event.usage is not None or event.cost_usd is not None
        self.add_failure(event)

    def _forget(self, lane: LaneState, newest: int) -> None:
        """Drop the requests before the window that ends at `newest`, except unsettled ones."""
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
