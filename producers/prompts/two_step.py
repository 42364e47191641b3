"""The `two-step` style, for small models: a list of instructions first, then an answer to each.

It asks for less at once than the `alpaca` style: to continue a list of one-line instructions, and to answer one. Such
an instruction is self-contained; its input is empty.

`list_request` shows instructions. As a completion the prompt ends at the number of the first new one, and
the model continues the list; as a chat it is asked for a list. `answer_request` asks for the answer to one of them.
With the defaults the built-in model takes the fewest tokens per kept instruction (docs/decisions/built-in-model.md).
They were not tuned for other models.

Parse a list with `streams.core.parse.parse_list`; an answer is the output unchanged.
"""

from collections.abc import Sequence
from typing import Literal

from producers.backends.base import Message, Request, Sampling
from producers.prompts.sampling import overlaid
from producers.prompts.wording import avoiding, before_list, preamble, shown_instruction, with_safety
from schemas.errors import ConfigurationError

Form = Literal["chat", "completion"]

ASKED = 7

LIST_SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_tokens=220, presence_penalty=0.5)
"""Without the presence penalty the built-in model repeats itself: a tenth of its items were near-copies."""

ANSWER_SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=96)

LIST_FORM: Form = "completion"
ANSWER_FORM: Form = "chat"


def list_request(
    instructions: Sequence[str],
    form: Form = LIST_FORM,
    *,
    asked: int = ASKED,
    sampling: Sampling | None = None,
    safety: bool = False,
    hints: Sequence[str] = (),
) -> Request:
    """The request for `asked` new instructions, numbered on from these.

    sampling   parameters that differ from `LIST_SAMPLING`
    hints      instructions that none of the new ones may be like
    Raises ConfigurationError if there is nothing to show or nothing to ask for.
    """
    if not instructions or asked < 1:
        raise ConfigurationError(
            f"{len(instructions)} tasks are shown and {asked} asked for; a list needs at least one of each."
        )
    shown = "\n".join(f"{number}. {shown_instruction(text)}" for number, text in enumerate(instructions, start=1))
    first, total = len(instructions) + 1, len(instructions) + asked
    effective = overlaid(LIST_SAMPLING, sampling)
    if form == "completion":
        return Request(
            prompt=f"{preamble(safety)}Below are {total} different tasks, each one sentence long, that someone could "
            f"give to a writing assistant. Every task has its own topic and its own verb{before_list(hints)}"
            f"{shown}\n{first}.",
            sampling=effective,
            stop=("\n\n", f"\n{total + 1}."),
        )
    asking = Message(
        "user",
        f"Here are {len(instructions)} tasks that someone could give to a writing assistant:\n\n{shown}\n\n"
        f"{avoiding(hints)}Write {asked} more. Each is one sentence, can be answered in writing without any further "
        "material, and differs from all the others in topic, in verb and in kind. "
        f"Answer with the list alone, numbered from {first} to {total}.",
    )
    return Request(messages=with_safety((asking,), safety), sampling=effective, stop=(f"\n{total + 1}.",))


def answer_request(
    instruction: str, form: Form = ANSWER_FORM, *, sampling: Sampling | None = None, safety: bool = False
) -> Request:
    """The request for the answer to one instruction, in one or two sentences: most longer answers of the built-in
    model are cut.

    sampling   parameters that differ from `ANSWER_SAMPLING`
    The completion form shows one example; without it base models leave the answer empty.
    """
    effective = overlaid(ANSWER_SAMPLING, sampling)
    if form == "completion":
        return Request(
            prompt=f"{preamble(safety)}Each task below is answered correctly and briefly.\n\n"
            "Task: Name the largest planet.\nAnswer: The largest planet of our solar system is Jupiter.\n\n"
            f"Task: {instruction}\nAnswer:",
            sampling=effective,
            stop=("\nTask:", "\n\n"),
        )
    asking = Message("user", f"{instruction}\nAnswer briefly, in one or two sentences.")
    return Request(messages=with_safety((asking,), safety), sampling=effective)
