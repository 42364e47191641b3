"""What a judge knows of its run: the ledger, and which rows it has judged (`producers.calls.ordered_progress`)."""

from dataclasses import dataclass

from infra.settings import Settings
from producers.calls.ordered_progress import OrderedProgress, OrderedReader
from schemas.events import Event, InstructionJudged, RunConfigured

_TOPICS = ("judged", "calls")


@dataclass
class JudgeProgress(OrderedProgress):
    """The state of the fold. `judge`: the judge's name."""

    judge: str = ""

    def finishes(self, event: Event, id: str) -> bool:
        return isinstance(event, InstructionJudged) and event.judge.name == self.judge


def judge_reader(settings: Settings, configured: RunConfigured, lane: str, judge: str) -> OrderedReader[JudgeProgress]:
    """The judge's progress, read to the end of the log."""
    return OrderedReader(settings, JudgeProgress(lane, configured, judge=judge), _TOPICS, "judge")
