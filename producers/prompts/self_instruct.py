"""The `self-instruct` style: instructions from a list, then whether each is a classification task, then an instance.

There are three requests. `bootstrap_request` shows eight tasks, seeds and some that the LLM wrote itself, and the LLM
continues the list. `classification_request` asks whether the answer to an instruction is one of a few fixed labels.
`instance_request` asks for an input and an output: the input first, or for classification the label first, so that the
LLM does not write inputs of one class only. The procedure is Self-Instruct's; the wording and the examples are our own.
Each request has two forms: `completion` (the text is continued) and `chat`.

Parse the answers with `streams.core.parse.self_instruct`.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

from producers.backends.base import Message, Request, Sampling
from producers.prompts.sampling import overlaid
from producers.prompts.wording import avoiding, before_list, preamble, shown_instruction, with_safety
from schemas.errors import ConfigurationError

Form = Literal["chat", "completion"]

ASKED = 8

BOOTSTRAP_SAMPLING = Sampling(temperature=0.7, top_p=0.5, max_tokens=1024, presence_penalty=2.0)
"""Self-Instruct's."""

CLASSIFICATION_SAMPLING = Sampling(temperature=0.0, max_tokens=5)
INSTANCE_SAMPLING = Sampling(temperature=0.0, max_tokens=350, presence_penalty=1.5)
"""Greedy, as in Self-Instruct. Its `top_p` of 0 is omitted: it has no effect then, and some endpoints refuse it."""

_KINDS = (
    ("Say whether the review praises the hotel or complains about it.", True),
    ("Write a birthday greeting to a colleague.", False),
    ("Which of these four words does not belong with the others?", True),
    ("Turn the measurements of a recipe into grams.", False),
    ("Decide which department of a shop an e-mail should go to.", True),
    ("Give three reasons for keeping bees.", False),
    ("Rate how formal the message is: casual, neutral or formal.", True),
    ("Shorten the paragraph to two sentences.", False),
)

_INPUT_FIRST = """Task: Add up the prices and give the total.
Example 1
Input: bread 2.40, cheese 5.10, apples 1.50
Output: 9.00
Example 2
Input: one ticket at 12.00 and two at 8.00
Output: 28.00

Task: Name three things that a hiker should carry.
Example 1
Output: Water, a map of the area and a rain jacket.

Task: Put the sentence into the passive voice.
Example 1
Input: The gardener waters the roses.
Output: The roses are watered by the gardener.
"""

_OUTPUT_FIRST = """Task: Say whether the review praises the hotel or complains about it.
Class label: praises
Input: The room was quiet, and breakfast was ready at six as promised.
Class label: complains
Input: We waited an hour for the key, and then the shower was cold.

Task: Rate how formal the message is: casual, neutral or formal.
Class label: casual
Input: hey, running late, grab me a seat?
Class label: neutral
Input: I will be ten minutes late. Could you keep a seat for me?
Class label: formal
Input: Please accept my apologies: I shall arrive ten minutes after the appointed time.
"""


def shuffled(instructions: Sequence[str]) -> tuple[str, ...]:
    """The instructions in a pseudo-random order that depends only on them."""
    together = "\n".join(instructions).encode("utf-8", "surrogatepass")
    order = sorted(range(len(instructions)), key=lambda place: hashlib.sha256(f"{place}/".encode() + together).digest())
    return tuple(instructions[place] for place in order)


def bootstrap_request(
    instructions: Sequence[str],
    form: Form,
    *,
    asked: int = ASKED,
    sampling: Sampling | None = None,
    safety: bool = False,
    hints: Sequence[str] = (),
) -> Request:
    """The request for `asked` new instructions after these, which are shuffled.

    sampling   parameters that differ from `BOOTSTRAP_SAMPLING`
    hints      instructions that none of the new ones may be like
    Raises ConfigurationError if there is nothing to show or nothing to ask for.
    """
    if not instructions or asked < 1:
        raise ConfigurationError(
            f"{len(instructions)} tasks are shown and {asked} asked for; a list needs at least one of each."
        )
    lines = [f"{number}. {shown_instruction(text)}" for number, text in enumerate(shuffled(instructions), start=1)]
    shown, first, total = "\n".join(lines), len(lines) + 1, len(lines) + asked
    effective = overlaid(BOOTSTRAP_SAMPLING, sampling)
    stop = (f"\n{total + 1}.",)
    if form == "completion":
        prompt = f"{preamble(safety)}A series of {total} different tasks{before_list(hints)}{shown}\n{first}."
        return Request(prompt=prompt, sampling=effective, stop=("\n\n", *stop))
    asking = Message(
        "user",
        f"This is the beginning of a series of {total} different tasks:\n\n{shown}\n\n"
        f"{avoiding(hints)}Go on with the series from {first} to {total}: one task after each number, none like "
        "another. Write nothing but the list.",
    )
    return Request(messages=with_safety((asking,), safety), sampling=effective, stop=stop)


def classification_request(
    instruction: str, form: Form, *, sampling: Sampling | None = None, safety: bool = False
) -> Request:
    """The request that asks whether an instruction is a classification task: yes or no."""
    effective = overlaid(CLASSIFICATION_SAMPLING, sampling)
    question = (
        "Is the task a classification task? It is when every possible answer is one of a small, fixed set of labels. "
        "Answer yes or no."
    )
    examples = "\n\n".join(f"Task: {text}\nAnswer: {'yes' if is_one else 'no'}" for text, is_one in _KINDS)
    text = f"{question}\n\n{examples}\n\nTask: {shown_instruction(instruction)}\nAnswer:"
    if form == "completion":
        return Request(prompt=preamble(safety) + text, sampling=effective, stop=("\nTask:", "\n\n"))
    return Request(messages=with_safety((Message("user", text),), safety), sampling=effective)


def instance_request(
    instruction: str, is_classification: bool, form: Form, *, sampling: Sampling | None = None, safety: bool = False
) -> Request:
    """The request for instances of an instruction."""
    effective = overlaid(INSTANCE_SAMPLING, sampling)
    if is_classification:
        task = (
            "For each classification task, list the class labels that an answer can be, and after each label an input "
            "that deserves it."
        )
        examples = _OUTPUT_FIRST
    else:
        task = (
            "For each task, write one or more examples: an input that the task could be given, and the right output. "
            "A task that needs no input has only an output."
        )
        examples = _INPUT_FIRST
    text = f"{task}\n\n{examples}\nTask: {shown_instruction(instruction)}\n"
    if form == "completion":
        return Request(prompt=f"{preamble(safety)}{text}", sampling=effective, stop=("\nTask:",))
    asking = Message("user", f"{text}\nWrite what comes after this last task, in the same form and nothing else.")
    return Request(messages=with_safety((asking,), safety), sampling=effective, stop=("\nTask:",))
