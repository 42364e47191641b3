"""What every reading gives: instructions, and with a reason each part of an answer that none could be read from."""

from schemas.events import Instruction, Unparsed

Parsed = tuple[tuple[Instruction, ...], tuple[Unparsed, ...]]
Items = tuple[tuple[str, ...], tuple[Unparsed, ...]]


def leave(unparsed: list[Unparsed], reason: str, text: str) -> None:
    """Put a text on record that no instruction was read from, unless it is blank."""
    if text.strip():
        unparsed.append(Unparsed(reason=reason, text=text.strip()))
