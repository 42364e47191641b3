"""What an evaluation knows of its run: the ledger, and which of its answers or judgements are on the log."""

from dataclasses import dataclass, field
from typing import Literal

from infra.log.record import Record
from infra.settings import Settings
from producers.calls.ordered_progress import OrderedProgress, OrderedReader
from schemas.evaluation import AnswerGiven, AnswersJudged
from schemas.events import CallStarted, Event, RunConfigured

CLIENT = "eval"
"""The component that writes the events of an evaluation."""


@dataclass
class EvaluationProgress(OrderedProgress):
    """The state of the fold. A call belongs to it by what it asks for, whatever its lane.

    wanted     ids of the events that are to be written
    outcomes   of those on the log, by id: an answer's outcome, or of a judgement `read` or `unread`
    """

    wanted: frozenset[str] = frozenset()
    outcomes: dict[str, str] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        super().apply(record)
        match record.event:
            case AnswerGiven(outcome=outcome) if record.id in self.wanted:
                self.outcomes.setdefault(record.id, outcome)
            case AnswersJudged(scores=scores) if record.id in self.wanted:
                self.outcomes.setdefault(record.id, "unread" if scores is None else "read")
            case _:
                pass

    def finishes(self, event: Event, id: str) -> bool:
        return id in self.wanted and isinstance(event, AnswerGiven | AnswersJudged)

    def asks(self, started: CallStarted) -> bool:
        return started.generation_id in self.wanted

    def counted(self) -> dict[str, int]:
        """How many of the wanted events on the log have each outcome."""
        found = sorted(self.outcomes.values())
        return {outcome: found.count(outcome) for outcome in dict.fromkeys(found)}


def evaluation_reader(
    settings: Settings,
    configured: RunConfigured,
    lane: str,
    topic: Literal["answers", "judgements"],
    wanted: frozenset[str],
) -> OrderedReader[EvaluationProgress]:
    """The progress of answers or judgements, read to the end of the log."""
    begin = lambda: EvaluationProgress(lane, configured, wanted=wanted)  # noqa: E731
    return OrderedReader(settings, begin, (topic, "calls"), CLIENT)  # without a snapshot: it depends on what is wanted
