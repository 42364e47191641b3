"""What an answerer knows of its run: the ledger, and which rows are answered (`producers.calls.ordered_progress`)."""

from dataclasses import dataclass

from producers.calls.ordered_progress import OrderedProgress
from schemas import ids
from schemas.events import CallStarted, Event, InstructionAnswered
from streams.core.answering import LANE


@dataclass
class AnswerProgress(OrderedProgress):
    """The state of the fold. A row that another lane began is taken over with its answers, so that the clusters may be
    divided in another way at the next start; one that is still at work on it is found out."""

    def finishes(self, event: Event, id: str) -> bool:
        return isinstance(event, InstructionAnswered)

    def asks(self, started: CallStarted) -> bool:
        return started.lane.startswith(f"{LANE}/")

    def number_of(self, item: str) -> int | None:
        state = self.ledger.requests.get(ids.request_id(item, 0))
        return state.number if state is not None and state.lane == self.lane else None
