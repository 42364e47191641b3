"""What became of a prompt, by the answers to it: a whole text, none, one that was cut off, or a refusal.

The producer decides this once, an audit decides it again from the same answers. That a call failed for good, or that an
endpoint refused the request itself, is in no answer; then there are none, and the producer says why.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.evaluation import AnswerOutcome
from schemas.events import CallAnswered
from streams.core.parse.answer_text import REFUSED, read_text


class ReadOutcome(NamedTuple):
    """An answer as read. `text` is empty unless `answered` or `cut`; `reason`: why there is no whole answer."""

    outcome: AnswerOutcome
    text: str
    reason: str


def read_answer(answers: Sequence[CallAnswered], reading: int) -> ReadOutcome:
    """The last answer, read with a version of the parser (`streams.core.parse.answers`).

    Raises ValueError without an answer: why there is none, the answers do not say.
    """
    if not answers:
        raise ValueError("There is no answer to read.")
    last = answers[-1]
    if reading > 1 and last.finish_reason == REFUSED:
        return ReadOutcome("refused", "", "the endpoint marks the answer as a refusal")
    seen, cut = read_text(last, reading)
    text = seen.text.strip()
    if not text:
        thought = any(part.reason == "reasoning" for part in seen.removed)
        what = "the answer holds nothing but reasoning" if thought else "the answer is empty"
        return ReadOutcome("empty", "", f"{what}{f', and was cut off ({last.finish_reason})' if cut else ''}")
    if cut:
        return ReadOutcome("cut", text, f"the answer was cut off ({last.finish_reason})")
    return ReadOutcome("answered", text, "")


def read_text_of_file(text: str) -> ReadOutcome:
    """An answer that was read from a file, which says nothing of how it ended."""
    return ReadOutcome("answered", text, "") if text.strip() else ReadOutcome("empty", "", "the answer is empty")
