"""The instructions of a generation that are rejected whatever rows are kept already."""

from collections.abc import Sequence

from schemas import ids
from schemas.events import InstructionsGenerated, Rejection
from schemas.policy import Policy
from streams.core.answering import answers_later
from streams.core.documents.choice import HIGHER_PERPLEXITY, choose
from streams.core.rules import unfit


def unfit_of(
    policy: Policy, generation_id: str, event: InstructionsGenerated, tokens: Sequence[Sequence[str]]
) -> dict[int, Rejection]:
    """The rejections of a generation that do not depend on the kept rows, by place; `tokens` of each instruction."""
    winner_id = None
    if event.segment is None:
        tasks = zip(event.instructions, tokens, strict=True)
        unanswered = answers_later(policy, event.style)
        reasons = [
            unfit(task, found, policy, cut=place in event.cut, unanswered=unanswered)
            for place, (task, found) in enumerate(tasks)
        ]
    else:
        choice = choose(event, event.segment, policy, tokens)
        reasons = list(choice.reasons)
        winner_id = None if choice.winner is None else ids.instruction_id(generation_id, choice.winner)
    return {
        place: Rejection(
            id=ids.instruction_id(generation_id, place),
            place=place,
            reason=reason,
            nearest_id=winner_id if reason == HIGHER_PERPLEXITY else None,
        )
        for place, reason in enumerate(reasons)
        if reason is not None
    }
