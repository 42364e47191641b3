"""The request for one candidate: an instruction that a segment of a document answers.

A model that `sedi train --task instruct` trained is asked in exactly the words it was trained with
(`infra.models.turned_rows`). Any other model is told what such an instruction is and shown three examples: without them
small models write about the task, or copy the text's beginning.

`streams.core.parse.candidates` parses the answer. A generation asks several times for the same segment, so the answers
must differ: temperature 0 would give the same candidate each time.
"""

from typing import Literal

from infra.models.templates import alpaca_prompt
from infra.models.turned_rows import answer, question
from producers.backends.base import Message, Request, Sampling
from producers.prompts.sampling import overlaid
from producers.prompts.wording import preamble, with_safety
from schemas.events import Instruction

Api = Literal["chat", "completion", "structured"]

SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=64)
"""At temperature 1.0 a small tuned model wrote half as many usable candidates (docs/documents.md)."""

_WHAT = (
    "it asks for what the text says, names its subject, can be understood without the text, and is not in the text's "
    "own words"
)
_FURTHER = "If the task cannot be done without some material, add a line that begins with `Input:` and give it there."

_EXAMPLES = (
    (
        "Dear Ms Okoro, the lamp you ordered is out of stock until the ninth. We are sorry for the delay and will send "
        "it without charge as soon as it is here.",
        "Answer this customer politely.",
        "Where is the lamp I ordered two weeks ago?",
    ),
    (
        "Fill the kettle and bring the water to a boil. Warm the pot, put in one spoonful of leaves for each cup, and "
        "pour the water over them. Wait four minutes before you serve it.",
        "Explain how to make a pot of black tea.",
        "",
    ),
    (
        "The bridge was closed in March after inspectors found cracks in two of its pillars. The town hopes to open it "
        "to pedestrians by the end of the summer.",
        "Write a short news report about a bridge that had to be closed for safety reasons.",
        "",
    ),
)


def request(
    segment: str, api: Api, *, trained: bool, sampling: Sampling | None = None, safety: bool = False
) -> Request:
    """The request for one instruction that the segment answers.

    trained    the model was trained by `--task instruct`. As a chat, the question is the only message: the transformers
               backend puts it into the template that the model was trained in, a server into its chat template. As a
               completion, the prompt is in the template `alpaca`. `safety` is left out, since the model was not trained
               with it
    sampling   parameters that differ from `SAMPLING`
    """
    effective = overlaid(SAMPLING, sampling)
    if trained:
        asked = question(segment)
        if api == "completion":
            return Request(prompt=alpaca_prompt(Instruction(instruction=asked)), sampling=effective)
        return Request(messages=(Message("user", asked),), sampling=effective)
    if api == "completion":
        shown = "".join(f"{_shown(text)} {answer(instruction, given)}\n\n" for text, instruction, given in _EXAMPLES)
        return Request(
            prompt=f"{preamble(safety)}For each text below somebody wrote the instruction that it answers: {_WHAT}.\n\n"
            f"{shown}{_shown(segment)}",
            sampling=effective,
            stop=("\n\n", "\nText:", "\nOutput:"),
        )
    system = Message(
        "system",
        "You get a text that is the answer to an instruction, and write that instruction, in one or two sentences: "
        f"{_WHAT}. {_FURTHER} Write the instruction alone.",
    )
    turns: list[Message] = []
    for text, instruction, given in _EXAMPLES:
        turns += [Message("user", question(text)), Message("assistant", answer(instruction, given))]
    messages = (system, *turns, Message("user", question(segment)))
    return Request(messages=with_safety(messages, safety), sampling=effective)


def _shown(text: str) -> str:
    return f"Text: {text.strip()}\nInstruction:"
