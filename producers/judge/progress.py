"""What a judge knows of its run: the ledger, and which rows it has judged (`producers.calls.ordered_progress`)."""

from dataclasses import dataclass

from producers.calls.ordered_progress import OrderedProgress
from schemas.events import Event, InstructionJudged


@dataclass
class JudgeProgress(OrderedProgress):
    """The state of the fold. `judge`: the judge's name."""

    judge: str = ""

    def finishes(self, event: Event, id: str) -> bool:
        return isinstance(event, InstructionJudged) and event.judge.name == self.judge
