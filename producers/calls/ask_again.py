"""Asks until an answer can be read: each time as the next step of the same generation or judgement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from producers.backends.base import Request, RequestRefused
from producers.calls.caller import CallCause, Caller
from producers.calls.refusals import Refusals
from schemas import ids
from schemas.events import CallAnswered

T = TypeVar("T")


@dataclass(frozen=True)
class ReadAnswer(Generic[T]):
    """What was read.

    value          in the last answer; None: there was nothing to read in any, or the request was refused
    reason         for the value, or why there is none
    answers        in the order asked
    causation_id   of the event that settled it
    """

    value: T | None
    reason: str
    answers: tuple[CallAnswered, ...]
    causation_id: str


async def ask_until_read(
    cause: CallCause,
    caller: Caller,
    request: Callable[[int], Request],
    read: Callable[[CallAnswered], tuple[T | None, str]],
    *,
    attempts: int,
    refusals: Refusals,
) -> ReadAnswer[T]:
    """Ask at most `attempts` times; `request` gives the request of a step (from 0), `read` a value and its reason.

    Raises RequestRefused when there were too many refusals in a row, and what `Caller.ask` raises.
    """
    answers: list[CallAnswered] = []
    value: T | None = None
    reason, causation_id = "", cause.causation_id
    try:
        while value is None and len(answers) < attempts:
            answer = await caller.ask(cause, len(answers), request(len(answers)))
            answers.append(answer)
            causation_id = ids.call_answered_id(answer.request_id, answer.attempt)
            value, reason = read(answer)
        refusals.answered()
    except RequestRefused as refusal:
        # This one will never be answered, but the next ones may be.
        if refusals.too_many(refusal):
            raise
        reason, causation_id = f"refused: {refusal}", refusal.event_id or causation_id
    return ReadAnswer(value, reason, tuple(answers), causation_id)
