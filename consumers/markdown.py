"""Markdown for the cards of data and models: tables whose cells cannot break them."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines)


def value(setting: object) -> str:
    """A setting as text; lists separated by commas."""
    return ", ".join(map(str, setting)) if isinstance(setting, list | tuple) else str(setting)


def plain(cell: object) -> str:
    """Text without Markdown or HTML that would leave its cell, whatever a model's name holds."""
    return " ".join(str(cell).split()).replace("|", "\\|").replace("<", "&lt;")
