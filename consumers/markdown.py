"""Pieces of the cards that stand beside data and models: tables whose cells stay in their place."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines)


def value(setting: object) -> str:
    """A setting as a reader wants it."""
    return ", ".join(map(str, setting)) if isinstance(setting, list | tuple) else str(setting)


def plain(cell: object) -> str:
    """Text that stays in its cell and is text, whatever a model is called."""
    return " ".join(str(cell).split()).replace("|", "\\|").replace("<", "&lt;")
