"""What the answers of a what-if cost, where the two policies differ in which instructions are answered.

Where a run has asked for all answers, the answers that only kept instructions need are among them, so their cost is
known. Where it has asked for those of kept instructions alone, those of others are not: their calls are counted, and
their tokens and price stay unknown. An answer that the run was still waiting for is not counted.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from consumers.replay.effect_stream import EffectStream
from schemas.events import Instruction, InstructionAnswered, InstructionKept, InstructionsGenerated
from schemas.policy import Policy
from streams.core.answering import answers_later, has_answer
from streams.core.parse.answers import by_step
from streams.core.rules import unfit_answer
from streams.core.spent import Spent
from streams.core.steps import answer_steps, steps_of


def as_listed(event: InstructionsGenerated, policy: Policy) -> InstructionsGenerated:
    """The generation as the filter sees it by a policy: without answers where these are asked for afterwards."""
    if not answers_later(policy, event.style):
        return event
    listed = tuple(Instruction(instruction=task.instruction) for task in event.instructions)
    return replace(event, instructions=listed, cut=())


@dataclass
class AskedAnswers:
    """Which answers a policy asks for, in a run that was recorded with another one.

    costs    the answered calls, with what they took
    unused   kept rows whose recorded answer is not used, by reason
    """

    policy: Policy
    costs: Spent = field(default_factory=Spent)
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
            self.costs.add_answers(event.answers)
            for row in kept:  # each had its output when it was kept, or may be without one
                self._add_answered(answered.get(row.id))
            return
        by_steps = by_step(event)
        self.costs.add_answers(answer for step, answer in by_steps.items() if step == 0)
        for row in kept:
            if row.id in answered:
                self._add_answered(answered[row.id])
            elif recorded.answer == "kept":
                waits = row.id in recorded_kept
                self.costs.add_unknown(0 if waits or has_answer(row) else answer_steps(event.style))
            else:
                answers = [by_steps[step] for step in steps_of(event.style, row.place) if step in by_steps]
                self.costs.add_answers(answers)
                task = event.instructions[row.place]
                self._count(unfit_answer(task.output, self.policy, cut=row.place in event.cut))

    def _add_answered(self, event: InstructionAnswered | None) -> None:
        if event is not None:
            self.costs.add_answers(event.answers)
            self._count(event.reason)

    def _count(self, reason: str | None) -> None:
        if reason is not None:
            self.unused[reason] = self.unused.get(reason, 0) + 1


def answers_of_rows(streams: Iterable[EffectStream]) -> dict[str, InstructionAnswered]:
    """The first event of each row on `answered`, by the row's id, without texts: these would fill the memory."""
    found: dict[str, InstructionAnswered] = {}
    for stream in streams:
        while (record := stream.take()) is not None:
            event = record.event
            if isinstance(event, InstructionAnswered) and event.row.id not in found:
                found[event.row.id] = _without_texts(event)
    return found


def _without_texts(event: InstructionAnswered) -> InstructionAnswered:
    answers = tuple(replace(answer, raw="", reasoning=None) for answer in event.answers)
    row = replace(event.row, instruction="", input="", output="")
    return replace(event, row=row, answers=answers, unparsed=())
