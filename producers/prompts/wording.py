"""Wording that all styles share: how a seed is cleaned before it is shown, and the optional safety prompt."""

from collections.abc import Sequence

from producers.backends.base import Message

NO_INPUT = "<noinput>"

SAFETY = (
    "You are a helpful, honest and careful assistant. Help as well as you can, say so when you are not sure or do not "
    "know, and make nothing up. Neither write nor ask for anything hateful, sexual, violent, illegal or otherwise "
    "harmful, and nothing that reveals who a private person is. If a task asks for such a thing, decline "
    "it in one sentence and say why."
)


def shown_instruction(instruction: str) -> str:
    """An instruction as it is shown to the LLM: white space collapsed, trailing colons stripped."""
    return " ".join(instruction.split()).rstrip(":").rstrip()


def avoiding(hints: Sequence[str]) -> str:
    """The paragraph that asks for nothing like these instructions, with an empty line after it; nothing for none."""
    if not hints:
        return ""
    listed = "\n".join(f"- {shown_instruction(text)}" for text in hints)
    return f"There are enough tasks like the following ones. No new task may be similar to any of them:\n\n{listed}\n\n"


def before_list(hints: Sequence[str]) -> str:
    """The end of a completion prompt's sentence about a list, before the list: with hints, these first."""
    return f". {avoiding(hints)}The tasks:\n\n" if hints else ":\n\n"


def with_safety(messages: tuple[Message, ...], safety: bool) -> tuple[Message, ...]:
    """The messages with the safety prompt in the system message, which is added if there is none."""
    if not safety:
        return messages
    first, *rest = messages
    if first.role == "system":
        return (Message("system", f"{SAFETY}\n\n{first.content}"), *rest)
    return (Message("system", SAFETY), *messages)


def preamble(safety: bool) -> str:
    """The start of a completion prompt: the safety prompt as a paragraph, or nothing."""
    return f"{SAFETY}\n\n" if safety else ""
