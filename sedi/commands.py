"""How a function becomes a command, and how commands share options.

A group of options is a frozen dataclass whose fields are options as Typer declares them. A command takes it as one
parameter; on the command line its options stand in that parameter's place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

import typer

from sedi.options import epilog


@dataclass(frozen=True)
class Command:
    """A command: its name, its function, and examples for the end of its help."""

    name: str
    function: Callable[..., None]
    examples: tuple[str, ...]

    def register(self, app: typer.Typer) -> None:
        app.command(self.name, epilog=epilog(*self.examples))(ungrouped(self.function))


def command(name: str, *examples: str) -> Callable[[Callable[..., None]], Command]:
    """Makes a function the command of that name."""
    return lambda function: Command(name, function, examples)


def add_group(app: typer.Typer, name: str, about: str, commands: Sequence[Command], *examples: str) -> None:
    """Add commands under a name of their own; `examples` are of the name alone."""
    group = typer.Typer(name=name, help=about, no_args_is_help=True, epilog=epilog(*examples) if examples else None)
    for each in commands:
        each.register(group)
    app.add_typer(group)


def ungrouped(function: Callable[..., None]) -> Callable[..., None]:
    """The function with each group of options replaced by its options."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        types = get_type_hints(groups[name], include_extras=True) if name in groups else hints
        options = inspect.signature(groups[name]).parameters.values() if name in groups else (parameter,)
        parameters += [option.replace(annotation=types[option.name]) for option in options]

    @wraps(function)
    def flat(**given: Any) -> None:
        made = {
            name: kind(**{option.name: given.pop(option.name) for option in fields(kind)})
            for name, kind in groups.items()
        }
        function(**given, **made)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
