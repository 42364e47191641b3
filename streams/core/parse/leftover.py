"""The result of every parser: instructions, and the unparsed parts of an answer with their reasons."""

from schemas.events import Instruction, Unparsed

Parsed = tuple[tuple[Instruction, ...], tuple[Unparsed, ...]]
Items = tuple[tuple[str, ...], tuple[Unparsed, ...]]


def leave(unparsed: list[Unparsed], reason: str, text: str) -> None:
    """Record an unparsed text, unless it is blank."""
    if text.strip():
        unparsed.append(Unparsed(reason=reason, text=text.strip()))
