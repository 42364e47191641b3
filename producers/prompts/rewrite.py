"""The request that turns a segment of a document into an answer to the instruction that was chosen for it.

The answer says what the segment says, in the form that the instruction asks for: nothing is added, and what only the
document needs (references to other parts of it, a heading, a page number) is left out. An answer is the output
unchanged.
"""

from typing import Literal

from producers.backends.base import Message, Request, Sampling
from producers.prompts.sampling import overlaid
from producers.prompts.wording import preamble, with_safety
from schemas.events import Instruction

SAMPLING = Sampling(temperature=0.3, top_p=0.95, max_tokens=512)

_HOW = (
    "Write the answer to the task below with what the text says, and nothing else: add no facts, keep its names and "
    "numbers, and leave out what makes sense only where the text comes from."
)


def rewrite_request(
    segment: str,
    task: Instruction,
    api: Literal["chat", "completion", "structured"],
    *,
    sampling: Sampling | None = None,
    safety: bool = False,
) -> Request:
    """The request for an answer to `task` that says what the segment says.

    sampling   parameters that differ from `SAMPLING`
    """
    effective = overlaid(SAMPLING, sampling)
    asked = f"Task: {task.instruction.strip()}" + (f"\nInput: {task.input.strip()}" if task.input.strip() else "")
    text = f"Text: {segment.strip()}"
    if api == "completion":
        prompt = f"{preamble(safety)}{_HOW}\n\n{text}\n\n{asked}\nAnswer:"
        return Request(prompt=prompt, sampling=effective, stop=("\nTask:", "\nText:"))
    asking = Message("user", f"{_HOW} Answer with the text of the answer alone.\n\n{text}\n\n{asked}")
    return Request(messages=with_safety((asking,), safety), sampling=effective)
