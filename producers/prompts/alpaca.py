"""The `alpaca` style: one call writes instruction, input and output of many tasks.

The prompt states nine requirements, then shows a list of tasks that ends inside the first task to be written. The seeds
are its first tasks; the LLM continues up to `total` and decides itself how many it writes. There are three forms:
`completion` (the list is continued as text), `chat` (the same for a chat model) and `structured` (JSON). The content of
the requirements and the form of the list are Stanford Alpaca's; the wording is our own.

Parse the answers with `streams.core.parse`: `parse_alpaca(..., first_number=first_number(seeds))`, `parse_structured`.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from producers.backends.base import Message, Request, Sampling
from producers.prompts.sampling import overlaid
from producers.prompts.wording import NO_INPUT, avoiding, preamble, shown_instruction, with_safety
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask

Form = Literal["chat", "completion", "structured"]

TOTAL = 20

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=3072)
"""Alpaca's."""

_REQUIREMENTS = (
    "Use as many different verbs as you can; do not let two tasks begin with the same one.",
    "Vary the form of language: some tasks are questions, others are requests or commands.",
    "Vary the type of task: open-ended writing, classification, editing, explaining, extracting, planning, reasoning, "
    "brainstorming and others.",
    "A language model that reads and writes only text must be able to carry the task out. Nothing may have to be "
    "seen, heard, shown or recorded, and nothing may have to be done in the world, such as setting a reminder.",
    "Write in English.",
    "An instruction is one or two sentences long; a command and a question are both fine.",
    "Where a task works on some material, give that material as its input: realistic, specific content, never a "
    "placeholder, and at most about 100 words.",
    "{no_input}",
    "The output is a fitting and complete answer to the instruction and its input, in fewer than about 100 words.",
)
_NO_INPUT_LIST = f"Not every task needs an input. Where the instruction says it all, write {NO_INPUT} for the input."
_NO_INPUT_JSON = "Not every task needs an input. Where the instruction says it all, leave the input empty."

_SYSTEM = "You write varied, realistic tasks, with their solutions, to train and test language models."

_TEXT = {"type": "string"}
_TASK = {
    "type": "object",
    "properties": {"instruction": _TEXT, "input": _TEXT, "output": _TEXT},
    "required": ["instruction", "input", "output"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"tasks": {"type": "array", "items": _TASK}},
    "required": ["tasks"],
    "additionalProperties": False,
}


def stop_texts(form: Form, parser: Literal["strict", "faithful"], total: int = TOTAL) -> tuple[str, ...]:
    """The texts that end the answer.

    For the `strict` parser: the start of a task after the last one. For the `faithful` one: the last task's number
    anywhere, as in Alpaca; so that task is never written, and "2020." ends an answer too. JSON needs none.
    """
    if form == "structured":
        return ()
    return (f"\n{total + 1}. Instruction",) if parser == "strict" else (f"\n{total}", f"{total}.")


def first_number(seeds: Sequence[SeedTask]) -> int:
    """The number of the first task that the LLM writes."""
    return len(seeds) + 1


def request(
    seeds: Sequence[SeedTask],
    form: Form,
    *,
    parser: Literal["strict", "faithful"] = "strict",
    total: int = TOTAL,
    sampling: Sampling | None = None,
    safety: bool = False,
    hints: Sequence[str] = (),
) -> Request:
    """The request for `total` tasks, the first of which are the seeds.

    parser     of the answer; it decides the stop texts
    sampling   parameters that differ from `SAMPLING`
    hints      instructions that no new task may be like
    Raises ConfigurationError if `total` leaves none to write.
    """
    if total <= len(seeds):
        raise ConfigurationError(
            f"{total} tasks are asked for in all and {len(seeds)} are shown: none is left to write. "
            f"Ask for at least {len(seeds) + 1}."
        )
    effective = overlaid(SAMPLING, sampling)
    stop = stop_texts(form, parser, total)
    if form == "completion":
        return Request(prompt=preamble(safety) + _list_prompt(seeds, total, hints), sampling=effective, stop=stop)
    if form == "chat":
        return Request(messages=with_safety(_chat(seeds, total, hints), safety), sampling=effective, stop=stop)
    return Request(
        messages=with_safety(_structured(seeds, total, hints), safety), sampling=effective, json_schema=SCHEMA
    )


def _rules(total: int, no_input: str) -> str:
    lines = [f"{number}. {text.format(no_input=no_input)}" for number, text in enumerate(_REQUIREMENTS, start=1)]
    return "\n".join(
        [
            f"Write a set of {total} different tasks. They are given to a language model, to see how well it follows "
            "instructions.",
            "",
            "What is required of them:",
            *lines,
        ]
    )


def _shown(seeds: Sequence[SeedTask]) -> str:
    parts = []
    for number, seed in enumerate(seeds, start=1):
        parts.append(
            f"###\n{number}. Instruction: {shown_instruction(seed.instruction)}\n"
            f"{number}. Input:\n{seed.input.strip() or NO_INPUT}\n"
            f"{number}. Output:\n{seed.output.strip()}\n"
        )
    return "".join(parts)


def _list_prompt(seeds: Sequence[SeedTask], total: int, hints: Sequence[str]) -> str:
    return (
        f"{_rules(total, _NO_INPUT_LIST)}\n\n{avoiding(hints)}List of {total} tasks:\n\n{_shown(seeds)}###\n"
        f"{first_number(seeds)}. Instruction:"
    )


def _chat(seeds: Sequence[SeedTask], total: int, hints: Sequence[str]) -> tuple[Message, ...]:
    first = first_number(seeds)
    return (
        Message("system", _SYSTEM),
        Message(
            "user",
            f"{_rules(total, _NO_INPUT_LIST)}\n\n{avoiding(hints)}List of {total} tasks:\n\n{_shown(seeds)}\n"
            f"Go on with the list from task {first} to task {total}, in the same form: a line with ###, then "
            f'"{first}. Instruction:", "{first}. Input:" and "{first}. Output:", and so on with each number. '
            "Repeat none of the tasks above, and write nothing but the list.",
        ),
    )


def _structured(seeds: Sequence[SeedTask], total: int, hints: Sequence[str]) -> tuple[Message, ...]:
    shown = [
        {"instruction": shown_instruction(seed.instruction), "input": seed.input.strip(), "output": seed.output.strip()}
        for seed in seeds
    ]
    return (
        Message("system", _SYSTEM),
        Message(
            "user",
            f"{_rules(total, _NO_INPUT_JSON)}\n\n{avoiding(hints)}The first {len(seeds)} of the {total} tasks:\n\n"
            f"{json.dumps({'tasks': shown}, ensure_ascii=False, indent=1)}\n\n"
            f"Write the other {total - len(seeds)} as JSON of the same form. Repeat none of those above.",
        ),
    )
