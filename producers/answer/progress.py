"""What an answerer knows of its run: the ledger, and which rows are answered (`producers.calls.ordered_progress`)."""

from dataclasses import dataclass

from infra.settings import Settings
from producers.calls.ordered_progress import OrderedProgress, OrderedReader
from schemas.events import Event, InstructionAnswered, RunConfigured

_TOPICS = ("answered", "calls")


@dataclass
class AnswerProgress(OrderedProgress):
    """The state of the fold."""

    def finishes(self, event: Event, id: str) -> bool:
        return isinstance(event, InstructionAnswered)


def answer_reader(settings: Settings, configured: RunConfigured, lane: str) -> OrderedReader[AnswerProgress]:
    """The answerer's progress, read to the end of the log."""
    return OrderedReader(settings, AnswerProgress(lane, configured), _TOPICS, lane.replace("/", "-"))
