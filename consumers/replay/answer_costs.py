"""What the answers of a what-if cost, where the two policies differ in which instructions are answered.

Where a run has asked for all answers, the answers that only kept instructions need are among them, so their cost is
known. Where it has asked for those of kept instructions alone, those of others are not: their calls are counted, and
their tokens and price stay unknown. An answer that the run was still waiting for is not counted.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from consumers.replay.effect_stream import EffectStream
from schemas.events import CallAnswered, Instruction, InstructionAnswered, InstructionKept, InstructionsGenerated
from schemas.policy import Policy
from streams.core.answering import answers_later, has_answer
from streams.core.parse.answers import by_step
from streams.core.rules import unfit_answer
from streams.core.steps import answer_steps, steps_of


class AnswerCosts(msgspec.Struct):
    """Answered calls, their tokens and price in US dollars; None where one of them has no known number."""

    calls: int = 0
    tokens: int | None = 0
    usd: float | None = 0.0

    def add(self, answers: Iterable[CallAnswered]) -> None:
        for answer in answers:
            self.calls += 1
            usage = answer.usage
            tokens = None if usage is None else usage.prompt_tokens + usage.completion_tokens
            self.tokens = None if self.tokens is None or tokens is None else self.tokens + tokens
            self.usd = None if self.usd is None or answer.cost_usd is None else self.usd + answer.cost_usd

    def add_unknown(self, calls: int) -> None:
        """Count calls that were never made."""
        if calls:
            self.calls += calls
            self.tokens = self.usd = None


def as_listed(event: InstructionsGenerated, policy: Policy) -> InstructionsGenerated:
    """The generation as the filter sees it by a policy: without answers where these are asked for afterwards."""
    if not answers_later(policy, event.style):
        return event
    listed = tuple(Instruction(instruction=task.instruction) for task in event.instructions)
    return replace(event, instructions=listed, cut=())


@dataclass
class AskedAnswers:
    """Which answers a policy asks for, in a run that was recorded with another one.

    unused   kept rows whose recorded answer is not used, by reason
    """

    policy: Policy
    costs: AnswerCosts = field(default_factory=AnswerCosts)
    unused: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        event: InstructionsGenerated,
        kept: Collection[InstructionKept],
        answered: dict[str, InstructionAnswered],
        *,
        recorded: Policy,
        recorded_kept: Collection[str],
    ) -> None:
        """Count a decided generation's answers.

        kept            rows kept by this policy
        answered        the recorded run's events on `answered`, by row id
        recorded        the recorded run's policy
        recorded_kept   ids of the generation's rows that the recorded run kept
        """
        if not answers_later(self.policy, event.style):
            self.costs.add(event.answers)
            for row in kept:  # each had its output when it was kept, or may be without one
                self._add_answered(answered.get(row.id))
            return
        by_steps = by_step(event)
        self.costs.add(answer for step, answer in by_steps.items() if step == 0)
        for row in kept:
            if row.id in answered:
                self._add_answered(answered[row.id])
            elif recorded.answer == "kept":
                waits = row.id in recorded_kept
                self.costs.add_unknown(0 if waits or has_answer(row) else answer_steps(event.style))
            else:
                answers = [by_steps[step] for step in steps_of(event.style, row.place) if step in by_steps]
                self.costs.add(answers)
                task = event.instructions[row.place]
                self._count(unfit_answer(task.output, self.policy, cut=row.place in event.cut))

    def _add_answered(self, event: InstructionAnswered | None) -> None:
        if event is not None:
            self.costs.add(event.answers)
            self._count(event.reason)

    def _count(self, reason: str | None) -> None:
        if reason is not None:
            self.unused[reason] = self.unused.get(reason, 0) + 1


def answers_of_rows(streams: Iterable[EffectStream]) -> dict[str, InstructionAnswered]:
    """The first event of each row on `answered`."""
    found: dict[str, InstructionAnswered] = {}
    for stream in streams:
        while (record := stream.take()) is not None:
            if isinstance(record.event, InstructionAnswered):
                found.setdefault(record.event.row.id, record.event)
    return found
