"""The answer to a kept instruction, in a run that answers kept instructions alone (policy `answer`).

The filter decides on the instruction. Its input and output are asked for afterwards, and are read by the parsers that
read them in a generation (`streams.core.parse.answers`). An answer that breaks a rule, is cut off or is missing leaves
the instruction kept, and its row unused, with a reason. Pure, so an audit reads the answers again.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionKept, TrainingLogged, Unparsed
from schemas.policy import Policy
from streams.core.parse.answers import READING, AnswerForm, answers_at, read_one
from streams.core.rules import unfit_answer
from streams.core.steps import answer_steps, asks_apart

LANE = "answer"
"""The part of a ledger lane's name before the slash when its calls are an answerer's."""


class AnsweredRow(NamedTuple):
    """A row with its input and output. `reason`: why it is not used; None: it is."""

    row: InstructionKept
    unparsed: tuple[Unparsed, ...] = ()
    reason: str | None = None


def answers_later(policy: Policy, style: str) -> bool:
    """Whether the output of a generation's instructions is asked for after they are kept."""
    return policy.answer == "kept" and asks_apart(style)


def has_answer(row: InstructionKept) -> bool:
    """Whether a row had its output, or at least its input, when it was kept, so that nothing is to be asked."""
    return bool(row.output or row.input)


def by_step(style: str, kept: str, answers: tuple[CallAnswered, ...]) -> dict[int, CallAnswered]:
    """The answers about a kept instruction by step, without those to other requests."""
    return answers_at(ids.answered_id(kept), range(answer_steps(style)), answers)


def read_answer(
    policy: Policy,
    row: InstructionKept,
    style: str,
    answers: Mapping[int, CallAnswered],
    failure: Unparsed | None = None,
    *,
    reading: int = READING,
) -> AnsweredRow:
    """The row with what its answers give, by step.

    failure   why a request has no answer and will have none
    """
    if not style:
        return AnsweredRow(row, (), unfit_answer(row.output, policy, cut=False))
    form = AnswerForm(style, "strict", shown=0, reading=reading)
    read = read_one(form, row.instruction, [answers.get(step) for step in range(answer_steps(style))])
    found = msgspec.structs.replace(row, input=read.instruction.input, output=read.instruction.output)
    if failure is not None:
        return AnsweredRow(found, (*read.unparsed, failure), failure.reason)
    return AnsweredRow(found, read.unparsed, unfit_answer(found.output, policy, cut=read.cut))


def read_again(policy: Policy, event: InstructionAnswered, row: InstructionKept) -> AnsweredRow:
    """What the event must have, from its answers and the row as it was kept."""
    answers = by_step(event.style, row.id, event.answers)
    missing = len(answers) < answer_steps(event.style)
    failure = event.unparsed[-1] if missing and event.unparsed else None
    return read_answer(policy, row, event.style, answers, failure, reading=event.reading)


def rows_topic(policy: Policy) -> str:
    """The topic whose rows are trained, judged and exported; its partitions are the clusters."""
    return "answered" if policy.answer == "kept" else "kept"


def usable_row(event: object) -> InstructionKept | None:
    """The row of an event of that topic; None for one that is not used, and for any other event."""
    if isinstance(event, InstructionAnswered):
        return event.row if event.reason is None else None
    return event if isinstance(event, InstructionKept) else None


def answered_rows(
    window: TrainingLogged, kept: Mapping[str, InstructionKept], answered: Mapping[str, InstructionKept]
) -> dict[str, InstructionKept]:
    """The rows of a training window that are in `kept`, with the input and output that they have in `answered`.

    What feedback decides from in a run that answers kept instructions alone: a row that becomes a seed has its answer.
    """
    rows = (row.id for step in window.steps for row in step.rows)
    return {id: answered[id] for id in rows if id in kept and id in answered}
